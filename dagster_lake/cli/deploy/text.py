"""What `lake deploy` tells people, and asks them."""

import json
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from dagster_lake.cli.shared.text import duration_text
from dagster_lake.deploy.deployment import Operation
from dagster_lake.deploy.outputs import next_steps
from dagster_lake.deploy.target import Target
from dagster_lake.deploy.what_if import Change, Sign, counts

_COLOURS: dict[Sign, str] = {"+": "green", "~": "yellow", "-": "red", "?": "cyan"}
_LONGEST = 60
_NAMELESS = re.compile(r"(^|/)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


class Terminal:
    """The person at the terminal; with ``yes``, one who agrees to everything."""

    def __init__(self, console: Console, target: Target, *, yes: bool) -> None:
        self._console, self._target, self._yes = console, target, yes

    def told(self, text: str) -> None:
        """A line of progress."""
        line(self._console, text)

    def told_of(self, part: Operation, ended: int, known: int) -> None:
        """A part of the deployment that ended."""
        state = "" if part.state == "Succeeded" else f"  {part.state}"
        kind = "" if part.is_module else f" ({part.type})"
        style = "" if part.state == "Succeeded" else "bold red"
        line(self._console, f"[{ended}/{known}] {part.name}{kind}  {duration_text(part.seconds)}{state}", style)

    def registers(self, providers: list[str]) -> bool:
        """Asks for resource providers, which a deployment cannot do without."""
        line(self._console, f"The subscription lacks the resource providers {', '.join(providers)}.")
        return self._yes or typer.confirm("Register them? It costs nothing.")

    def agrees(self, changes: list[Change]) -> bool:
        """Shows the changes and asks."""
        show_changes(self._console, changes)
        show_hands(self._console, self._target, changes, [], [])
        return self._yes or typer.confirm("Deploy this?")


def show_changes(console: Console, changes: list[Change]) -> None:
    """Prints the changes by resource group, and how many there are of each kind."""
    for group, of_group in groupby(changes, key=lambda change: change.group):
        found = sorted(of_group, key=lambda change: (list(_COLOURS).index(change.sign), change.type, change.name))
        line(console, f"{group}: {_counted(found)}", "bold")
        for (sign, type_), alike in groupby(found, key=lambda change: (change.sign, change.type)):
            _show_alike(console, sign, type_, list(alike))
    if changes:
        console.print(f"\n[bold]Plan:[/] {_counted(changes)}.")
    else:
        console.print("No resource would be changed.")


def show_hands(
    console: Console, target: Target, changes: list[Change], providers: list[str], at_work: list[str]
) -> None:
    """Prints what people should know or do before the plan is carried out."""
    chosen = target.environment
    notes = [f"{name} is at work in Azure; apply waits for it first" for name in at_work]
    if providers:
        notes.append(f"apply registers the resource providers {', '.join(providers)}")
    if any(
        change.sign == "~" and change.type.startswith("Microsoft.StreamAnalytics/streamingjobs") for change in changes
    ):
        notes.append("Stream Analytics refuses changes to a job that runs; stop it first (docs/azure.md)")
    if deleted := [change.name for change in changes if change.sign == "-"]:
        notes.append(f"{', '.join(deleted)} would be deleted; what was in them is gone then")
    if chosen.dagster_image is None:
        notes.append(f"Dagster does not run yet: environments.{target.stage}.dagster_image is not given")
    elif chosen.sign_in_client_id is None:
        notes.append(f"nobody can sign in: environments.{target.stage}.sign_in_client_id is not given")
    for note in notes:
        line(console, f"Note: {note}", "cyan")


def show_outputs(console: Console, outputs: Mapping[str, Any]) -> None:
    """Prints the outputs, one a line."""
    width = max((len(name) for name in outputs), default=0)
    for name, value in outputs.items():
        line(console, f"{name:<{width}}  {value if isinstance(value, str) else json.dumps(value)}")


def show_next(console: Console, target: Target, outputs: Mapping[str, Any]) -> None:
    """Prints what is left to be done by hand."""
    steps = next_steps(target.lake, target.stage, outputs)
    console.print("\nDeployed." if not steps else "\nDeployed. What is left to be done by hand:")
    for number, step in enumerate(steps, 1):
        line(console, f"  {number}. {step}")


def line(console: Console, text: str, style: str = "") -> None:
    """Prints a line as it is."""
    console.print(Text(text, style=style), soft_wrap=True)


def _counted(changes: list[Change]) -> str:
    number = counts(changes)
    told = [f"{number['+']} to create", f"{number['~']} to change", f"{number['-']} to delete"]
    unknown = [f"of {number['?']} Azure cannot tell"] if number["?"] else []
    return ", ".join([one for one in told if not one.startswith("0 ")] + unknown) or "nothing"


def _show_alike(console: Console, sign: Sign, type_: str, changes: list[Change]) -> None:
    named = [change.name for change in changes if not _NAMELESS.search(change.name)]
    number = f"{len(changes)} of " if len(changes) > 1 else ""
    if sign in ("+", "-"):
        line(console, f"  {sign} {number}{type_}  {', '.join(named)}".rstrip(), _COLOURS[sign])
        return
    for change in changes:
        why = f": {change.why_unknown}" if change.why_unknown else ""
        line(console, f"  {sign} {type_}  {change.name}{why}", _COLOURS[sign])
        for one in change.differences:
            line(console, f"      {one.path}: {_short(one.before)} -> {_short(one.after)}")


def _short(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
