"""A plan as people read it: one block for each object, what is added (+), changed (~) and taken away (-)."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.console import Console
from rich.text import Text

from dagster_lake.unity_catalog.apply import Step
from dagster_lake.unity_catalog.model import KINDS
from dagster_lake.unity_catalog.plan import Action, Plan

_COLOURS = {"+": "green", "~": "yellow", "-": "red"}
_LONGEST = 60


def show_plan(console: Console, plan: Plan, *, prune: bool) -> None:
    """Prints what would be done, what is left alone and why, and the counts of each."""
    wanted = [*plan.changes, *(plan.removals if prune else ())]
    _show(console, wanted)
    left = [] if prune else list(plan.removals)
    if left or plan.kept:
        console.print("\n[bold]Not in the YAML and the contracts, and left alone:[/]")
        _show(console, left)
        for action, why in plan.kept:
            _line(console, f"  {action.kind} {action.name}: never dropped by this command: {why}")
    for note in plan.notes:
        _line(console, f"Note: {note}", style="cyan")
    for conflict in plan.conflicts:
        _line(console, f"Conflict: {conflict}", style="bold red")
    if wanted:
        counts = {sign: sum(a.sign == sign for a in wanted) for sign in _COLOURS}
        console.print(f"\n[bold]Plan:[/] {counts['+']} to add, {counts['~']} to change, {counts['-']} to remove.")
    else:
        console.print("Nothing to do: the catalog is as it should be.")
    if left:
        console.print(f"{len(left)} left alone; --prune removes them.")


def step_text(step: Step) -> str:
    """A step in one line, for progress."""
    first = step[0]
    return f"{first.sign} {first.kind} {first.name}{_said(list(step))}"


def _show(console: Console, actions: Iterable[Action]) -> None:
    def owner(action: Action) -> tuple[int, str]:
        return KINDS.index(action.kind), action.name

    for _, group in groupby(sorted(actions, key=owner), key=owner):
        of_object = list(group)
        made = next((a for a in of_object if a.what == "object"), None)
        head = made or of_object[0]
        sign = made.sign if made else " "
        place = f"  {made.after}" if made and made.after else ""
        _line(console, f"{sign} {head.kind} {head.name}{place}", style=_COLOURS.get(sign, "bold"))
        for text, colour in _details([a for a in of_object if a.what != "object"]):
            _line(console, f"    {text}", style=colour)


def _details(actions: list[Action]) -> Iterator[tuple[str, str]]:
    def together(action: Action) -> tuple[str, str, str, str]:
        # Columns of one mask share a line, tags of one owner do, privileges of one principal do.
        shared = {"mask": action.before + action.after, "tag": action.column, "grant": action.key}
        alone = action.column + action.key
        return action.what, action.sign, shared.get(action.what, alone), "" if action.what in shared else "alone"

    for (_, sign, _, _), group in groupby(sorted(actions, key=together), key=together):
        yield f"{sign}{_said(list(group))}", _COLOURS[sign]


def _said(actions: list[Action]) -> str:
    first, what = actions[0], actions[0].what
    column = f" of {first.column}" if first.column else ""
    if what == "object":
        return ""
    if what == "grant":
        by_principal: dict[str, list[str]] = {}
        for action in actions:
            by_principal.setdefault(action.key, []).append(action.after or action.before)
        return " grant " + "; ".join(f"{', '.join(privileges)} to {who}" for who, privileges in by_principal.items())
    if what == "tag":
        return f" tag{column} " + ", ".join(f"{a.key}={_change(a)}" for a in actions)
    if what == "mask":
        columns = ", ".join(a.column for a in actions)
        return f" mask {columns} by {_change(first)}"
    return f" {first.key or what}{column}: " + _change(first, quote='"')


def _change(action: Action, quote: str = "") -> str:
    before, after = (f"{quote}{_short(value)}{quote}" for value in (action.before, action.after))
    if action.sign == "~":
        return f"{before} -> {after}"
    return after if action.after else before


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)
