"""Carries a plan out: one change after the other, each safe to repeat, so that a second run goes on after a failure."""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from dagster_lake.commit import commit
from dagster_lake.unity_catalog import sql
from dagster_lake.unity_catalog.actual import has_files
from dagster_lake.unity_catalog.errors import CatalogError
from dagster_lake.unity_catalog.model import Securable, State
from dagster_lake.unity_catalog.plan import Action
from dagster_lake.unity_catalog.workspace import Workspace, explained

if TYPE_CHECKING:
    from databricks.sdk.service.catalog import AzureManagedIdentityRequest

Step = tuple[Action, ...]


def steps(actions: Iterable[Action]) -> list[Step]:
    """Actions that are one request: all tags of one object or column, all grants of one object, else each its own."""

    def request(action: Action) -> tuple[object, ...]:
        alone = action if action.what not in ("tag", "grant") else None
        return (action.kind, action.name, action.what, action.column, action.sign == "-", alone)

    return [tuple(group) for _, group in groupby(actions, key=request)]


def apply(
    workspace: Workspace, desired: State, actions: Iterable[Action], tell: Callable[[int, int, Step], None]
) -> list[str]:
    """Carries the actions out in their order, and returns notes on what had to be left for another run.

    ``tell`` hears of each step before it is made: its number, how many there are, and its actions. Raises CatalogError
    at the first one that fails; what was done before stays done.
    """
    work = steps(actions)
    applier = _Applier(workspace, desired)
    for number, step in enumerate(work, 1):
        tell(number, len(work), step)
        first = step[0]
        with explained(f"{_verb(first)} {first.kind} {first.name}", first.kind):
            applier.carry_out(step)
    return applier.notes


def _verb(action: Action) -> str:
    if action.what == "object":
        return "dropping" if action.sign == "-" else "creating"
    return {"+": "adding", "~": "changing", "-": "removing"}[action.sign] + f" {action.what}s of"


class _Applier:
    def __init__(self, workspace: Workspace, desired: State) -> None:
        self.workspace = workspace
        self.client = workspace.client
        self.desired = desired
        self.notes: list[str] = []
        self.lacking: dict[str, set[str]] = {}

    def carry_out(self, step: Step) -> None:
        first = step[0]
        if first.column and first.column in self.lacking.get(first.name, ()):
            return  # noted when the table was registered
        with commit(f"catalog.{first.kind.replace(' ', '_')}.{first.what}"):
            if first.what == "object" and first.sign == "-":
                self.drop(first)
            elif first.what == "object":
                self.create(self.desired[first.kind, first.name])
            elif first.what in ("setting", "comment"):
                self.change(first)
            elif first.what == "mask":
                self.workspace.sql(sql.set_mask(first.name, first.column, first.after))
            elif first.what == "tag":
                self.tag(step)
            else:
                self.grant(step)

    def create(self, wanted: Securable) -> None:
        settings, client = wanted.settings, self.client
        if wanted.kind == "storage credential":
            client.storage_credentials.create(
                wanted.name, azure_managed_identity=_identity(wanted), comment=wanted.comment
            )
        elif wanted.kind == "external location":
            client.external_locations.create(
                wanted.name, settings["url"], settings["credential"], comment=wanted.comment
            )
        elif wanted.kind == "catalog":
            client.catalogs.create(wanted.name, comment=wanted.comment, storage_root=settings["storage_root"])
        elif wanted.kind == "schema":
            catalog, schema = wanted.name.split(".")
            client.schemas.create(schema, catalog, comment=wanted.comment)
        elif wanted.kind == "function":
            self.workspace.sql(sql.create_function(wanted))
        elif wanted.kind == "volume":
            self.make_volume(wanted)
        else:
            self.make_table(wanted)

    def make_volume(self, wanted: Securable) -> None:
        from databricks.sdk.service.catalog import VolumeType

        catalog, schema, name = wanted.name.split(".")
        self.client.volumes.create(
            catalog,
            schema,
            name,
            VolumeType[wanted.settings["type"]],
            comment=wanted.comment,
            storage_location=wanted.settings.get("location"),
        )

    def make_table(self, wanted: Securable) -> None:
        if wanted.spec is not None and not has_files(self.workspace, wanted.settings["location"]):
            self.workspace.sql(sql.create_empty_table(wanted, wanted.spec))
            return
        self.workspace.sql(sql.register_table(wanted))
        # The log names the columns; what they mean is said here.
        there = {c.name: c.comment or "" for c in self.client.tables.get(wanted.name).columns or []}
        self.workspace.sql(sql.comment_on_table(wanted.name, wanted.comment))
        for name, column in wanted.columns.items():
            if name in there and there[name] != column.comment:
                self.workspace.sql(sql.comment_on_column(wanted.name, name, column.comment))
        lacking = {name for name in wanted.columns if name not in there}
        if lacking:
            self.lacking[wanted.name] = lacking
            self.notes.append(
                f"{wanted.name}: has no {', '.join(sorted(lacking))} yet; materialise it, then apply again"
            )

    def change(self, action: Action) -> None:
        """Writes one setting or comment as it is wanted, and nothing beside it."""
        from databricks.sdk.service.catalog import AzureManagedIdentityResponse

        client, name, wanted = self.client, action.name, self.desired[action.kind, action.name]
        if action.kind == "function":
            self.workspace.sql(sql.create_function(wanted))
        elif action.column:
            self.workspace.sql(sql.comment_on_column(name, action.column, action.after))
        elif action.kind == "table":
            self.workspace.sql(sql.comment_on_table(name, action.after))
        elif action.what == "comment":
            updates: dict[str, Callable[..., object]] = {
                "storage credential": client.storage_credentials.update,
                "external location": client.external_locations.update,
                "catalog": client.catalogs.update,
                "schema": client.schemas.update,
                "volume": client.volumes.update,
            }
            updates[action.kind](name, comment=action.after)
        elif action.kind == "storage credential":
            identity = AzureManagedIdentityResponse.from_dict(_identity(wanted).as_dict())
            client.storage_credentials.update(name, azure_managed_identity=identity)
        elif action.key == "url":
            client.external_locations.update(name, url=action.after)
        else:
            client.external_locations.update(name, credential_name=action.after)

    def tag(self, step: Step) -> None:
        first = step[0]
        if first.sign == "-":
            self.workspace.sql(sql.unset_tags(first.kind, first.name, first.column, [a.key for a in step]))
        else:
            tags = {action.key: action.after for action in step}
            self.workspace.sql(sql.set_tags(first.kind, first.name, first.column, tags))

    def grant(self, step: Step) -> None:
        add: dict[str, list[str]] = {}
        remove: dict[str, list[str]] = {}
        for action in step:
            if action.sign == "-":
                remove.setdefault(action.key, []).append(action.before)
            else:
                add.setdefault(action.key, []).append(action.after)
        self.workspace.change_grants(step[0].kind, step[0].name, add, remove)

    def drop(self, action: Action) -> None:
        """Takes an object out of the catalog; only such as own no data come here (see ``Plan.kept``)."""
        if action.kind == "table":
            self.client.tables.delete(action.name)
        elif action.kind == "volume":
            self.client.volumes.delete(action.name)
        elif action.kind == "function":
            self.client.functions.delete(action.name)
        else:
            raise CatalogError(f"{action.kind} {action.name} is not dropped by this command; drop it by hand")


def _identity(wanted: Securable) -> "AzureManagedIdentityRequest":
    from databricks.sdk.service.catalog import AzureManagedIdentityRequest

    return AzureManagedIdentityRequest(
        wanted.settings["access_connector_id"], wanted.settings.get("managed_identity_id")
    )
