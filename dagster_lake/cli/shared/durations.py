"""Lengths of time as one types them: 500ms, 15s, 10m, 2h."""

import re

import typer

_LENGTH = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """The seconds that ``text`` says. Raises BadParameter for anything but a number with a unit, above 0."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None or not float(found["number"]):
        raise typer.BadParameter(f"{text!r} is no length of time; write a number and ms, s, m or h, such as 10m")
    return float(found["number"]) * _SECONDS[found["unit"]]
