"""Copies a dropped file into an attempt, and writes its rows as lines beside it where it holds them in another form."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast

from dagster_lake.contract.model import Contract
from dagster_lake.errors import LakeError
from dagster_lake.landing.as_lines import BrokenOff, as_lines
from dagster_lake.landing.attempt import AttemptFolder, HashingFile
from dagster_lake.landing.form import SNIFFED, Form, form_of, unreadable
from dagster_lake.landing.line_count import LineCounter
from dagster_lake.landing.result import Skipped, Unreadable
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.manifest import Original
from dagster_lake.storage.paths import local_path

_CHUNK = 1024 * 1024
_BEFORE = 16
_LONE_RETURN = re.compile(rb"[}\]][ \t]{0,8}\r[^\n]")
"""A carriage return that ends a value's line by itself; one elsewhere is part of something that is no JSON."""
_SHOWN = 5


class NoJson(LakeError):
    """A file that is no JSON, or breaks off; the message goes on from its name."""


@dataclass(frozen=True)
class Copied:
    """A copied file: its non-empty lines, its form, and what it looks like when it is no JSON (then not all of it was
    copied)."""

    file: HashingFile
    lines: int
    form: Form
    looks_like: str | None


def copy_file(attempt: AttemptFolder, name: str, opened: BinaryIO) -> Copied:
    """Copies what is ``opened`` to ``name``, byte for byte."""
    counter, form, looks_like, lone_returns = LineCounter(), Form(), None, False
    before = b""
    with attempt.new_file(name) as copied:
        while chunk := opened.read(_CHUNK):
            if not copied.size:
                form, looks_like = form_of(chunk[:SNIFFED]), unreadable(chunk[:SNIFFED])
            copied.write(chunk)
            if looks_like is not None:
                break
            counter.add(chunk)
            lone_returns = lone_returns or _LONE_RETURN.search(before + chunk) is not None
            before = (before + chunk)[-_BEFORE:]
    lone_returns = lone_returns or _LONE_RETURN.search(before + b" ") is not None
    if form.plain and lone_returns:
        form = Form(line_ends=True)
    return Copied(copied, counter.lines, form, looks_like)


def add_copy(attempt: AttemptFolder, name: str, copied: Copied, *, source: str, modified: datetime) -> None:
    """Notes the copy for the manifest, or its rows as lines and the copy as their original. Raises NoJson."""
    if copied.looks_like is not None:
        raise NoJson(f"looks like {copied.looks_like}")
    if copied.form.plain:
        attempt.add(name, copied.lines, copied.file, source=source, modified=modified)
        return
    counter, lines_name = LineCounter(), f"{name}.lines"
    try:
        with attempt.new_file(lines_name) as lines, _open(attempt, name) as opened:
            for piece in as_lines(opened.read, copied.form):
                lines.write(piece)
                counter.add(piece)
    except BrokenOff as error:
        raise NoJson(f"cannot be read to its end: {error}") from None
    original = Original(f"{attempt.path.name}/{name}", copied.file.size, copied.file.sha256.hexdigest())
    attempt.add(lines_name, counter.lines, lines, source=source, modified=modified, original=original)


def refuse(contract: Contract, unreadable: Sequence[str]) -> None:
    """Raises Unreadable when there are files, each with what is wrong of it, that cannot be read."""
    if unreadable:
        more = f"; and {len(unreadable) - _SHOWN:,} more" if len(unreadable) > _SHOWN else ""
        raise Unreadable(
            f"{contract.name}, snapshot: {'; '.join(unreadable[:_SHOWN])}{more}. Nothing of the delivery was taken: "
            f"{contract.file} says that these are JSON lines. Export such a file anew, or take it out of the landing "
            "folder, and run again"
        )


def refuse_others(contract: Contract, skipped: Sequence[Skipped], remedy: str) -> None:
    """Raises Unreadable when files are there, but none that the format takes: somebody has delivered something."""
    if skipped:
        more = f"; and {len(skipped) - _SHOWN:,} more" if len(skipped) > _SHOWN else ""
        told = "; ".join(map(str, skipped[:_SHOWN]))
        raise Unreadable(
            f"{contract.name}, snapshot: no file to land, though others are there: {told}{more}. {contract.file} takes "
            f"JSON only; {remedy}, or take the others away"
        )


def _open(attempt: AttemptFolder, name: str) -> BinaryIO:
    if is_adls(attempt.path):
        return cast(BinaryIO, (attempt.path / name).open("rb"))
    return open(local_path(attempt.path) / name, "rb")
