"""Values and sizes as a person reads them."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from os import PathLike


def value_text(value: object) -> str:
    """A value of a table, in one line; instants in UTC, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        instant = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        text = instant.isoformat(" ", "milliseconds" if instant.microsecond else "seconds")
        return f"{text}Z" if value.tzinfo else text
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}" if value != int_or_none(value) else str(int(value))
    if isinstance(value, date | int | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    return " ".join(str(value).split("\n"))


def int_or_none(value: float) -> int | None:
    """The whole number that ``value`` is, if it is one that a float holds exactly."""
    return int(value) if abs(value) < 2**53 and value == int(value) else None


def is_number(value: object) -> bool:
    """Whether a column of such values is set flush right."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def path_text(path: str | PathLike[str]) -> str:
    """A path as one would type it here: relative where it lies below the working directory."""
    text, here = str(path), f"{os.getcwd()}{os.sep}"
    return text.removeprefix(here)


def size_text(size: int) -> str:
    """Bytes with a unit: ``512 B``, ``3.4 MB``."""
    if size < 1000:
        return f"{size} B"
    for unit, length in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < length * 1000:
            return f"{size / length:.1f} {unit}"
    return f"{size / 1e12:.1f} TB"


def age_text(instant: datetime, now: datetime) -> str:
    """How long ago: ``12 s``, ``3 h``, ``10 d``."""
    seconds = max(0, int((now - instant).total_seconds()))
    for limit, length, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // length} {unit}"
    return f"{seconds // 86_400} d"


def duration_text(seconds: float) -> str:
    """A length of time: ``48 s``, ``3 min 5 s``, ``1 h 4 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
