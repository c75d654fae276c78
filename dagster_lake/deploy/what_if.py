"""What a deployment would change: Azure's own what-if, read and put in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dagster_lake.deploy.az import Az
from dagster_lake.deploy.az_failure import AzFailed, problem

Sign = Literal["+", "~", "-", "?"]

_SIGNS: dict[str, Sign] = {"Create": "+", "Modify": "~", "Delete": "-", "Deploy": "?", "Unsupported": "?"}
_NOWHERE = "the subscription"


@dataclass(frozen=True)
class Difference:
    """A property that would change; ``before`` is None when it is new, ``after`` when it goes."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """A resource that would be created (+), changed (~), deleted (-), or of which Azure cannot tell (?)."""

    sign: Sign
    group: str
    type: str
    name: str
    differences: tuple[Difference, ...] = ()
    why_unknown: str = ""


def what_if(az: Az, name: str, region: str, parameters: str) -> list[Change]:
    """What deploying the parameters file would change, by resource group; empty when nothing.

    Raises AzFailed, which is also how Azure says that it would refuse the deployment.
    """
    arguments = ("deployment", "sub", "what-if")
    result = az.json(
        *(*arguments, "--name", name, "--location", region, "--parameters", parameters, "--no-pretty-print")
    )
    if result.get("error"):
        found = problem(result["error"])
        raise AzFailed(arguments, found.code, found.message, [found])
    changes = [change for one in result["changes"] or () if (change := _change(one)) is not None]
    return sorted(changes, key=lambda change: (change.group != _NOWHERE, change.group, change.type, change.name))


def counts(changes: list[Change]) -> dict[Sign, int]:
    """How many of each sign."""
    signs: tuple[Sign, ...] = ("+", "~", "-", "?")
    return {sign: sum(change.sign == sign for change in changes) for sign in signs}


def _change(one: Mapping[str, Any]) -> Change | None:
    sign = _SIGNS.get(one["changeType"])
    differences = tuple(_differences(one.get("delta") or (), ""))
    # Azure gives defaults that a template does not name as changes without effect.
    if sign is None or (sign == "~" and not differences):
        return None
    group, type_, name = _place(one["resourceId"])
    return Change(sign, group, type_, name, differences, str(one.get("unsupportedReason") or ""))


def _differences(delta: Any, path: str) -> Iterator[Difference]:
    for one in delta:
        place = f"{path}[{one['path']}]" if str(one["path"]).isdigit() else f"{path}.{one['path']}".lstrip(".")
        if one["propertyChangeType"] == "NoEffect":
            continue
        if one.get("children"):
            yield from _differences(one["children"], place)
        else:
            yield Difference(place, one.get("before"), one.get("after"))


def _place(resource_id: str) -> tuple[str, str, str]:
    """(resource group, type, name) of an id; of a resource that extends another, both their names."""
    if not resource_id.startswith("/"):
        return _NOWHERE, "a resource", resource_id  # an expression, which nobody can work out before
    scope, _, last = resource_id.rpartition("/providers/")
    parts = (last if scope else resource_id.strip("/")).split("/")
    folders = resource_id.strip("/").split("/")
    lowered = [folder.lower() for folder in folders]
    group = folders[lowered.index("resourcegroups") + 1] if "resourcegroups" in lowered[:-1] else _NOWHERE
    if not scope:
        return group, "resource group", folders[-1]
    type_ = "/".join([parts[0], *parts[1::2]])
    extended = scope.rpartition("/providers/")[2].split("/")[2::2] if "/providers/" in scope else []
    return group, type_, "/".join([*extended, *parts[2::2]])
