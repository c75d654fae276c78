"""The difference between what is wanted and what is there, as a list of actions. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dagster_lake.unity_catalog.model import KINDS, Column, Kind, Securable, State

What = Literal["object", "setting", "comment", "mask", "tag", "grant"]

_CHANGEABLE = {
    ("storage credential", "access_connector_id"),
    ("storage credential", "managed_identity_id"),
    ("external location", "url"),
    ("external location", "credential"),
    ("function", "definition"),
}


@dataclass(frozen=True)
class Action:
    """One thing to add (+), change (~) or take away (-).

    Making an object includes its settings and comments. ``key`` is the setting, the tag, or the principal of a grant;
    ``before`` and ``after`` are its values, or the privilege.
    """

    sign: Literal["+", "~", "-"]
    kind: Kind
    name: str
    what: What
    column: str = ""
    key: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Plan:
    """``changes`` make the wanted state true, in an order that works. ``removals`` are what is there and not wanted:
    carried out only when asked for. ``kept`` is never removed, and ``notes`` are what has to wait; both say why."""

    changes: tuple[Action, ...]
    removals: tuple[Action, ...]
    kept: tuple[tuple[Action, str], ...]
    conflicts: tuple[str, ...]
    notes: tuple[str, ...]


def plan(desired: State, actual: State, unbuilt: Collection[str] = ()) -> Plan:
    """What leads from ``actual`` to ``desired``; ``unbuilt`` are the tables that only dbt can make, and has not."""
    notes, conflicts = [], []
    actions: list[Action] = []
    for key, wanted in desired.items():
        found = actual.get(key)
        if found is None and wanted.name in unbuilt:
            continue
        if found is None:
            actions.append(Action("+", wanted.kind, wanted.name, "object", after=_made_of(wanted)))
            found = bare(wanted)
        for setting, value in wanted.settings.items():
            if found.settings.get(setting, "") != value and (wanted.kind, setting) not in _CHANGEABLE:
                conflicts.append(
                    f"{wanted.kind} {wanted.name}: its {setting} is {found.settings.get(setting, '')!r}, which cannot "
                    f"be changed into {value!r}; drop it by hand, or correct the YAML"
                )
        if wanted.kind == "table":
            missing = [column for column in wanted.columns if column not in found.columns]
            if missing:
                notes.append(f"{wanted.name}: has no {', '.join(missing)} yet; materialise it, then apply again")
        actions += _differences(wanted, found)
    if unbuilt:
        names = ", ".join(sorted(unbuilt))
        notes.append(f"dbt has not built {names} yet, or the files cannot be seen; materialise them, then apply again")
    unwanted = [Action("-", f.kind, f.name, "object") for key, f in actual.items() if key not in desired]
    kept = [(action, actual[action.kind, action.name].stays) for action in unwanted]
    removals = [a for a in actions if a.sign == "-"] + [action for action, why in kept if not why]
    return Plan(
        tuple(sorted((a for a in actions if a.sign != "-"), key=_turn)),
        tuple(sorted(removals, key=_turn)),
        tuple((action, why) for action, why in kept if why),
        tuple(conflicts),
        tuple(notes),
    )


def bare(wanted: Securable) -> Securable:
    """``wanted`` as it is once made: with its settings and comments, and nothing else."""
    columns = {name: Column(column.comment) for name, column in wanted.columns.items()}
    return replace(wanted, tags={}, grants={}, columns=columns)


def _differences(wanted: Securable, found: Securable) -> Iterator[Action]:
    """What differs between two states of one object, settings that cannot be changed left out."""
    kind, name = wanted.kind, wanted.name
    for setting, value in wanted.settings.items():
        before = found.settings.get(setting, "")
        if before != value and (kind, setting) in _CHANGEABLE:
            yield Action("~", kind, name, "setting", "", setting, before, value)
    if wanted.comment != found.comment:
        yield Action("~", kind, name, "comment", "", "", found.comment, wanted.comment)
    yield from _tags(kind, name, "", wanted.tags, found.tags)
    for column, want in wanted.columns.items():
        have = found.columns.get(column)
        if have is None:
            continue
        if want.comment != have.comment:
            yield Action("~", kind, name, "comment", column, "", have.comment, want.comment)
        if want.mask != have.mask:
            sign: Literal["+", "~", "-"] = "-" if not want.mask else "~" if have.mask else "+"
            yield Action(sign, kind, name, "mask", column, "", have.mask, want.mask)
        yield from _tags(kind, name, column, want.tags, have.tags)
    for principal in sorted({*wanted.grants, *found.grants}):
        want_, have_ = wanted.grants.get(principal, frozenset()), found.grants.get(principal, frozenset())
        for privilege in sorted(want_ - have_):
            yield Action("+", kind, name, "grant", "", principal, "", privilege)
        for privilege in sorted(have_ - want_):
            yield Action("-", kind, name, "grant", "", principal, privilege, "")


def _tags(kind: Kind, name: str, column: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Action]:
    for tag in sorted({*wanted, *found}):
        if tag not in found:
            yield Action("+", kind, name, "tag", column, tag, "", wanted[tag])
        elif tag not in wanted:
            yield Action("-", kind, name, "tag", column, tag, found[tag], "")
        elif wanted[tag] != found[tag]:
            yield Action("~", kind, name, "tag", column, tag, found[tag], wanted[tag])


def _turn(action: Action) -> tuple[int, int, str, int, str]:
    """When an action's turn comes.

    Privileges are taken away first and given last, so that nobody sees a column before its mask is on; a table is
    masked as soon as it exists.
    """
    place = KINDS.index(action.kind)
    if action.what == "grant":
        phase = 0 if action.sign == "-" else 3
    elif action.what in ("object", "setting", "mask") and action.sign != "-":
        phase = 1
    elif action.sign != "-" or action.what != "object":
        phase = 2
    else:
        phase, place = 4, -place
    within = 0 if action.what == "object" else 1
    return phase, place, action.name, within, f"{action.what}\0{action.column}\0{action.key}"


def _made_of(wanted: Securable) -> str:
    return ", ".join(f"{value}" for key, value in wanted.settings.items() if key != "definition")
