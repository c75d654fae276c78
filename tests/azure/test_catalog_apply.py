"""`lake catalog` against a workspace, through the real databricks-sdk: what it does, leaves alone and says."""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.commit import observe
from tests.azure.catalog_yaml import ROOT, STEP, filled_in, write_yaml
from tests.azure.fake_unity_catalog import WAREHOUSE, FakeUnityCatalog, Fault, Refused

CREDENTIALS = {"DATABRICKS_TOKEN": "not-a-real-one", "LAKE_DATABRICKS_WAREHOUSE_ID": WAREHOUSE, "COLUMNS": "200"}


@dataclass
class Workspace:
    """A fake, and `lake catalog` as one would call it."""

    fake: FakeUnityCatalog
    host: str
    file: Path

    def run(self, *arguments: str, env: dict[str, str] | None = None, answer: str | None = None) -> Result:
        environment = {"DATABRICKS_HOST": self.host, **CREDENTIALS, **(env or {})}
        command = ["catalog", *arguments, "--config", str(self.file)]
        return CliRunner().invoke(app, command, env=environment, input=answer)

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def use(self, **changes: Any) -> None:
        write_yaml(self.file.parent, filled_in(**changes))

    @property
    def held(self) -> dict[str, Any]:
        """Everything the workspace holds, to compare."""
        kinds = ("storage_credentials", "external_locations", "catalogs", "schemas", "volumes", "functions", "tables")
        return copy.deepcopy({kind: getattr(self.fake, kind) for kind in (*kinds, "grants", "tags")})

    def grants(self, kind: str, name: str) -> dict[str, list[str]]:
        return self.fake.grants[kind, f"shop_dev.{name}"]

    def column(self, table: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(c for c in self.fake.tables[f"shop_dev.{table}"]["columns"] if c["name"] == name)
        return found


@pytest.fixture(autouse=True)
def _without_the_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE", "LAKE_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))


def serve(folder: Path, fake: FakeUnityCatalog) -> Iterator[Workspace]:
    with fake.serve() as host:
        yield Workspace(fake, host, write_yaml(folder, filled_in()))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Workspace]:
    yield from serve(tmp_path, FakeUnityCatalog())


@pytest.fixture(scope="module")
def once_applied(tmp_path_factory: pytest.TempPathFactory) -> FakeUnityCatalog:
    """One apply from nothing, which the other tests begin with a copy of."""
    fake = FakeUnityCatalog()
    for workspace in serve(tmp_path_factory.mktemp("applied"), fake):
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("LAKE_ENGINE", raising=False)
            workspace.done("apply", "--yes")
    return fake


@pytest.fixture
def applied(tmp_path: Path, once_applied: FakeUnityCatalog) -> Iterator[Workspace]:
    yield from serve(tmp_path, FakeUnityCatalog(**copy.deepcopy(state_of(once_applied))))


def state_of(fake: FakeUnityCatalog) -> dict[str, Any]:
    kinds = ("storage_credentials", "external_locations", "catalogs", "schemas", "volumes", "functions", "tables")
    return {kind: getattr(fake, kind) for kind in (*kinds, "grants", "tags", "files")}


# ---- from nothing ----


def test_an_empty_workspace_gets_everything(applied: Workspace) -> None:
    fake = applied.fake
    (credential,) = fake.storage_credentials.values()
    assert credential["azure_managed_identity"]["access_connector_id"].endswith("accessConnectors/lake")
    assert fake.external_locations["shop_dev_sensitive"]["url"] == f"{ROOT}/sensitive/"
    schemas = {name.split(".")[1] for name in fake.schemas} - {"default", "information_schema"}
    assert schemas == {"bronze", "silver", "streams", "gold", "quarantine", "sensitive", "operations", "masks"}
    assert {name: volume["volume_type"] for name, volume in fake.volumes.items()} == {
        "shop_dev.bronze.raw": "EXTERNAL",
        "shop_dev.sensitive.raw": "EXTERNAL",
        "shop_dev.sensitive.landing": "EXTERNAL",
        "shop_dev.operations.steps": "MANAGED",
        "shop_dev.operations.checkpoints": "MANAGED",
    }
    users = fake.tables["shop_dev.sensitive.bronze_users"]
    assert users["storage_location"] == f"{ROOT}/sensitive/bronze/users"
    assert users["comment"] == "One customer of the shop, as the customer system exported it."
    assert fake.tags["shop_dev.sensitive.bronze_users"] == {
        **{"domain": "shop", "owner": "team:shop", "layer": "bronze", "pii": "clear"}
    }
    name = applied.column("sensitive.bronze_users", "name")
    assert name["mask"] == {"function_name": "shop_dev.masks.first_letter"}
    assert name["comment"].startswith("First and family name")
    assert fake.tags["shop_dev.silver.users.birth_number"] == {"pii": "restricted", "masking": "hmac"}
    assert applied.grants("schema", "gold") == {
        STEP: ["CREATE_TABLE", "MODIFY", "SELECT", "USE_SCHEMA"],
        "shop-analysts": ["SELECT", "USE_SCHEMA"],
        "shop-readers": ["SELECT", "USE_SCHEMA"],
    }
    assert applied.grants("schema", "sensitive") == {
        STEP: ["MODIFY", "SELECT", "USE_SCHEMA"],
        "shop-sensitive": ["SELECT", "USE_SCHEMA"],
    }


def test_an_empty_tables_columns_are_the_engines_own(applied: Workspace) -> None:
    types = {
        c["name"]: (c["type_text"], c["nullable"]) for c in applied.fake.tables["shop_dev.silver.users"]["columns"]
    }
    assert types["id"] == ("BIGINT", False)
    assert types["jobs"] == ("ARRAY", True)
    assert types["_snapshot"] == ("STRING", False)


def test_the_second_plan_is_empty(applied: Workspace) -> None:
    before = applied.held
    output = applied.done("plan", "--exit-code")
    assert "Nothing to do" in output
    assert applied.done("apply").count("Apply this?") == 0
    assert applied.held == before
    assert applied.fake.writes == []


def test_a_plan_changes_nothing_and_says_so_by_its_exit_code(empty: Workspace) -> None:
    assert empty.run("plan").exit_code == 0
    result = empty.run("plan", "--exit-code")
    assert result.exit_code == 2
    assert "+ table shop_dev.sensitive.bronze_users" in result.output
    assert empty.fake.writes == []


def test_apply_asks_first(empty: Workspace) -> None:
    result = empty.run("apply", answer="n\n")
    assert result.exit_code == 1
    assert "Nothing was changed" in result.output
    assert empty.fake.writes == []


def test_progress_is_told_to_the_end_and_what_to_set_afterwards(empty: Workspace) -> None:
    lines = empty.done("apply", "--yes").splitlines()
    steps = [match for line in lines if (match := re.match(r"\[(\d+)/(\d+)\]", line))]
    assert [int(step[1]) for step in steps] == list(range(1, int(steps[0][2]) + 1))
    assert f"  LAKE_ROOT={ROOT} LAKE_CATALOG=shop_dev" in lines


# ---- tables that are there already ----


def test_tables_that_the_lake_has_are_registered_as_they_are(empty: Workspace) -> None:
    empty.fake.files[f"{ROOT}/silver/orders"] = ["order_id", "user_id", "older_column"]
    empty.fake.files[f"{ROOT}/sensitive/bronze/users"] = ["id", "name"]
    output = empty.done("apply", "--yes")
    assert [c["name"] for c in empty.fake.tables["shop_dev.silver.orders"]["columns"]] == [
        *("order_id", "user_id", "older_column")
    ]
    assert empty.column("silver.orders", "order_id")["comment"] == "The order's number."
    assert "Note: shop_dev.silver.orders: has no " in output
    # A column that an older table lacks has no tags and no mask to take; the others have theirs.
    assert empty.column("sensitive.bronze_users", "name")["mask"] == {"function_name": "shop_dev.masks.first_letter"}
    assert "shop_dev.sensitive.bronze_users.birth_number" not in empty.fake.tags
    assert empty.fake.tables["shop_dev.silver.orders"]["comment"] == "One order, as the shop's database holds it."


def test_gold_is_registered_once_dbt_has_built_it(applied: Workspace) -> None:
    assert "dbt has not built shop_dev.gold.daily_sales, " in applied.done("plan")
    assert "shop_dev.gold.engagements" not in applied.fake.tables
    applied.fake.files[f"{ROOT}/gold/engagements"] = ["id", "user_name"]
    applied.done("apply", "--yes")
    assert applied.fake.tables["shop_dev.gold.engagements"]["comment"].startswith("One row")
    assert applied.fake.tags["shop_dev.gold.engagements"]["layer"] == "gold"


# ---- what others changed ----


def test_what_somebody_changed_is_put_right(applied: Workspace) -> None:
    wanted = applied.held
    fake = applied.fake
    fake.tables["shop_dev.silver.users"]["comment"] = "Mine now"
    applied.column("silver.users", "city")["comment"] = ""
    del applied.column("sensitive.bronze_users", "birth_number")["mask"]
    fake.functions["shop_dev.masks.hide"]["routine_definition"] = "value"
    fake.tags["shop_dev.sensitive.bronze_users"]["pii"] = "none"
    applied.grants("schema", "gold")["shop-readers"] = ["USE_SCHEMA"]
    del fake.volumes["shop_dev.operations.steps"], fake.grants["volume", "shop_dev.operations.steps"]
    del fake.tables["shop_dev.bronze.orders"]
    fake.external_locations["shop_dev_raw"]["comment"] = ""
    fake.external_locations["shop_dev_silver"]["credential_name"] = "another"
    fake.storage_credentials["shop_dev_lake"]["azure_managed_identity"] = {"access_connector_id": "/another"}

    output = applied.done("plan")
    for line in (
        '~ comment: "Mine now" -> "One customer of the shop,',
        '~ comment of city: "" -> "City of residence."',
        "+ mask birth_number by shop_dev.masks.hide",
        '~ definition: "value" -> "CASE WHEN value IS NULL',
        "~ tag pii=none -> clear",
        "+ grant SELECT to shop-readers",
        "+ volume shop_dev.operations.steps",
        "+ table shop_dev.bronze.orders",
    ):
        assert line in output
    assert "Plan: 10 to add, 7 to change, 0 to remove." in output
    applied.done("apply", "--yes")
    held = applied.held
    # Its files were there still, and with them the columns; types are the log's own.
    del held["tables"]["shop_dev.bronze.orders"], wanted["tables"]["shop_dev.bronze.orders"]
    assert held == wanted


def test_a_mask_by_another_function_is_replaced(applied: Workspace) -> None:
    applied.fake.functions["shop_dev.masks.mine"] = {"name": "mine", "routine_definition": "value"}
    applied.column("sensitive.bronze_users", "name")["mask"] = {"function_name": "shop_dev.masks.mine"}
    output = applied.done("apply", "--yes")
    assert "~ mask name by shop_dev.masks.mine -> shop_dev.masks.first_letter" in output
    assert applied.column("sensitive.bronze_users", "name")["mask"] == {"function_name": "shop_dev.masks.first_letter"}


@pytest.fixture
def disturbed(applied: Workspace) -> Workspace:
    """Somebody granted, tagged and made things of their own."""
    fake = applied.fake
    # A privilege newer than the client's own list, by which other engines get the files, past every mask.
    applied.grants("schema", "sensitive")["somebody"] = ["EXTERNAL_USE_SCHEMA", "SELECT"]
    fake.grants["table", "shop_dev.sensitive.bronze_users"] = {"account users": ["SELECT"]}
    fake.tags["shop_dev.silver.users"]["cost_center"] = "7"
    own = {"catalog_name": "shop_dev", "schema_name": "silver", "comment": "", "columns": []}
    for name, type_ in (("scratch", "EXTERNAL"), ("precious", "MANAGED"), ("report", "VIEW")):
        place = {"storage_location": f"abfss://other@shopdev.dfs.core.windows.net/{name}"}
        fake.tables[f"shop_dev.silver.{name}"] = {**own, **place, "name": name, "table_type": type_}
    fake.schemas["shop_dev.playground"] = {"name": "playground", "catalog_name": "shop_dev"}
    return applied


def test_what_is_not_ours_is_left_alone_and_said(disturbed: Workspace) -> None:
    before = disturbed.held
    output = disturbed.done("apply", "--yes")
    assert disturbed.held == before
    assert "Nothing to do" in output
    for line in (
        "- grant EXTERNAL_USE_SCHEMA, SELECT to somebody",
        "- grant SELECT to account users",
        "- tag cost_center=7",
        "- table shop_dev.silver.scratch",
        "table shop_dev.silver.precious: never dropped by this command: Unity Catalog would delete its data",
        "table shop_dev.silver.report: never dropped by this command: it is a VIEW",
        "schema shop_dev.playground: never dropped by this command",
        "5 left alone; --prune removes them.",
    ):
        assert line in output
    assert disturbed.run("plan", "--exit-code").exit_code == 0
    assert disturbed.run("plan", "--exit-code", "--prune").exit_code == 2


def test_prune_takes_away_what_holds_no_data(disturbed: Workspace, once_applied: FakeUnityCatalog) -> None:
    disturbed.done("apply", "--yes", "--prune")
    assert "somebody" not in disturbed.grants("schema", "sensitive")
    assert disturbed.fake.grants["table", "shop_dev.sensitive.bronze_users"] == {}
    assert disturbed.fake.tags["shop_dev.silver.users"] == once_applied.tags["shop_dev.silver.users"]
    assert set(disturbed.fake.tables) - set(once_applied.tables) == {
        *("shop_dev.silver.precious", "shop_dev.silver.report")
    }
    assert "shop_dev.playground" in disturbed.fake.schemas


def test_a_group_that_was_replaced_keeps_its_grants_until_pruned(applied: Workspace) -> None:
    applied.use(groups={**filled_in()["groups"], "readers": "new-readers"})
    assert "- grant SELECT, USE_SCHEMA to shop-readers" in applied.done("apply", "--yes")
    assert applied.grants("schema", "gold")["shop-readers"] == ["SELECT", "USE_SCHEMA"]
    applied.done("apply", "--yes", "--prune")
    assert "shop-readers" not in applied.grants("schema", "gold")
    assert applied.grants("schema", "gold")["new-readers"] == ["SELECT", "USE_SCHEMA"]


def test_masks_come_off_only_when_asked(applied: Workspace) -> None:
    applied.use(column_masks=False)
    output = applied.done("apply", "--yes")
    assert "- mask _rescued_data, birth_number, phone_number, street_address by shop_dev.masks.hide" in output
    assert "- function shop_dev.masks.hide" in output
    assert "mask" in applied.column("sensitive.bronze_users", "name")
    applied.done("apply", "--yes", "--prune")
    assert "mask" not in applied.column("sensitive.bronze_users", "name")
    assert applied.fake.functions == {}


def test_a_table_registered_elsewhere_stops_apply_before_it_begins(applied: Workspace) -> None:
    applied.fake.tables["shop_dev.silver.users"]["storage_location"] = "abfss://old@shopdev.dfs.core.windows.net/u"
    applied.fake.tables["shop_dev.silver.orders"]["comment"] = "drifted"
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "Conflict: table shop_dev.silver.users: its location is" in result.output
    assert applied.fake.writes == []
    assert applied.run("plan", "--exit-code").exit_code == 2


# ---- failures ----


class Died(BaseException):
    """The process is killed."""


def test_a_run_that_dies_again_and_again_is_taken_up_by_the_next(
    empty: Workspace, once_applied: FakeUnityCatalog
) -> None:
    """Before and after requests in turn, so that both a request lost and an answer lost are met."""
    lives = 0
    while dies_at(empty, 24 + lives % 2):
        masked_before_granted(empty.fake)
        lives += 1
        assert lives < 100
    assert lives > 8
    for kind, wanted in state_of(once_applied).items():
        assert getattr(empty.fake, kind) == wanted


def dies_at(workspace: Workspace, point: int) -> bool:
    """Runs apply until the given point, before or after one of its requests; false when it ended before."""
    points = itertools.count(1)

    def die(_: str) -> None:
        if next(points) == point:
            raise Died

    observe(die)
    try:
        workspace.done("apply", "--yes")
    except Died:
        return True
    finally:
        observe(None)
    return False


def masked_before_granted(fake: FakeUnityCatalog) -> None:
    if any(who == "shop-sensitive" for who in fake.grants.get(("schema", "shop_dev.sensitive"), {})):
        columns = fake.tables["shop_dev.sensitive.quarantine_users"]["columns"]
        assert next(c for c in columns if c["name"] == "birth_number").get("mask")


def refuse(pattern: str, status: int, code: str, message: str) -> Fault:
    return Fault(pattern, Refused(status, code, message))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            refuse(r"POST \S+/catalogs", 403, "PERMISSION_DENIED", "User does not have CREATE CATALOG on Metastore"),
            [
                "creating catalog shop_dev: not permitted",
                "needs CREATE CATALOG on the metastore",
                "ask a metastore admin",
            ],
        ),
        (
            refuse(r"GET \S+/storage-credentials", 403, "PERMISSION_DENIED", "no"),
            ["reading storage credentials: not permitted", "CREATE STORAGE CREDENTIAL"],
        ),
        (
            refuse(r"SET MASK", 500, "INTERNAL_ERROR", "something broke"),
            ["adding masks of table shop_dev.sensitive.", "something broke", "run `lake catalog apply` again"],
        ),
        (
            refuse(r"POST \S+/schemas", 409, "SCHEMA_ALREADY_EXISTS", "already exists"),
            ["creating schema shop_dev.", "run `lake catalog apply` again"],
        ),
        (
            refuse(
                r"GET \S+/catalogs", 401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type"
            ),
            ["Databricks does not know who we are", "log in again"],
        ),
    ],
    ids=["denied", "denied to look", "a statement", "somebody was faster", "a stale token"],
)
def test_a_refusal_is_one_readable_line_and_the_next_run_goes_on(
    empty: Workspace, fault: Fault, expected: list[str]
) -> None:
    empty.fake.faults.append(fault)
    result = empty.run("apply", "--yes")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert [text for text in expected if text not in line] == []
    empty.done("apply", "--yes")
    assert "Nothing to do" in empty.done("plan")


def test_a_group_that_does_not_exist_is_named(empty: Workspace) -> None:
    empty.fake.principals = {STEP, "shop-readers", "shop-engineers", "shop-sensitive"}
    result = empty.run("apply", "--yes")
    assert result.exit_code == 1
    assert "shop-analysts" in result.stderr
    assert "make the group or service principal in the account console" in result.stderr


def test_a_busy_workspace_is_asked_again(empty: Workspace) -> None:
    empty.fake.faults.append(refuse(r"POST \S+/schemas", 429, "REQUEST_LIMIT_EXCEEDED", "slow down"))
    empty.done("apply", "--yes")
    assert "Nothing to do" in empty.done("plan")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"LAKE_DATABRICKS_WAREHOUSE_ID": ""}, ["LAKE_DATABRICKS_WAREHOUSE_ID", "warehouse_id"]),
        ({"DATABRICKS_TOKEN": "", "DATABRICKS_HOST": ""}, ["DATABRICKS_HOST", "log in"]),
        ({"LAKE_DATABRICKS_WAREHOUSE_ID": "another"}, ["SQL warehouse another does not exist"]),
    ],
    ids=["no warehouse", "no credentials", "a warehouse that is gone"],
)
def test_what_is_missing_to_begin_with_is_said(applied: Workspace, env: dict[str, str], expected: list[str]) -> None:
    result = applied.run("plan", env=env)
    assert result.exit_code == 1
    assert [text for text in expected if text not in result.stderr] == []


def test_the_missing_extra_is_named(applied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "databricks.sdk", None)
    result = applied.run("plan")
    assert result.exit_code == 1
    assert "pip install 'dagster-lake[databricks]'" in result.stderr


def test_steps_on_databricks_and_masks_do_not_go_together(applied: Workspace) -> None:
    result = applied.run("plan", env={"LAKE_ENGINE": "databricks"})
    assert "Set column_masks: false" in result.output
    assert "Set column_masks: false" not in applied.done("plan")


def test_no_secret_is_sent_or_shown(empty: Workspace) -> None:
    env = {"LAKE_PII_KEY": "k" * 32, "LAKE_PII_KEY_ID": "k1"}
    output = empty.run("apply", "--yes", env=env).output
    assert "k" * 32 not in output + "\n".join(empty.fake.requests)
    assert "not-a-real-one" not in output


def test_a_comment_cannot_end_its_literal(applied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    import dagster_lake.contract.model as module

    nasty = "It's \\' a `name`; DROP TABLE x --\nand a second line"
    changed: Callable[[], Any] = lambda: {  # noqa: E731
        **{name: one for name, one in originals.items() if name != "orders"},
        "orders": dataclasses.replace(originals["orders"], description=nasty),
    }
    originals = module.contracts()
    monkeypatch.setattr(module, "contracts", changed)
    applied.done("apply", "--yes")
    assert applied.fake.tables["shop_dev.silver.orders"]["comment"] == nasty
    assert "Nothing to do" in applied.done("plan")
