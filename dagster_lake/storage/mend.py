"""Mends a damaged table as far as that loses nothing silently: what is in the way is moved aside, never removed.

What a log can do without goes. The last commits, which a crash cut off, are replaced by commits that change nothing,
so that no version of the table means two things: those who noted what they had read of it need not know. Whatever else
is damaged, the table goes aside as a whole, and is made again from the layers below.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.damage import HINT, Fault, table_name
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.moving import move_folder
from dagster_lake.storage.publish import publish_bytes, published, withdraw

FOLDER = "damaged"
"""Below the zone of a table: what was moved aside of it, by table and time."""
_PARTITION = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d(?:\d{4}Z)?(?![\d:])")


@dataclass(frozen=True)
class Mending:
    """What is done about the faults of a table: ``forget`` moves files of the log aside, ``undo`` replaces cut-off
    commits, ``empty`` takes partitions out of which a file is damaged, and ``whole`` moves the whole table aside.
    ``lost`` are the partitions that the undone commits name. These and the emptied ones are to be made again."""

    uri: UPath
    forget: tuple[UPath, ...] = ()
    undo: tuple[UPath, ...] = ()
    empty: tuple[str, ...] = ()
    whole: bool = False
    lost: tuple[str, ...] = ()

    @property
    def makes_rows_go(self) -> bool:
        """Whether rows are not in the table until they are made again."""
        return bool(self.undo or self.empty or self.whole)


def mending(uri: UPath, faults: Sequence[Fault]) -> Mending:
    """What to do about ``faults``, everything that is wrong with the table."""
    data = {fault.partition for fault in faults if fault.kind == "data"}
    if None in data or any(fault.kind == "middle" for fault in faults):
        return Mending(uri, whole=True)
    undo = tuple(fault.place for fault in faults if fault.kind == "last")
    forget = {fault.place for fault in faults if fault.kind in ("hint", "checkpoint")}
    hint = uri / "_delta_log" / HINT
    if any(fault.kind == "checkpoint" for fault in faults) and hint.exists():
        forget.add(hint)  # it names the checkpoint
    named = {found for place in undo for found in _PARTITION.findall(place.read_bytes().decode(errors="replace"))}
    empty = tuple(sorted(partition for partition in data if partition is not None))
    return Mending(uri, tuple(sorted(forget)), undo, empty, lost=tuple(sorted(named)))


def carry_out(plan: Mending, now: datetime) -> UPath:
    """Does it, and returns the folder that what was moved aside is in.

    Killed in between, the same table is mended again: each step leaves one fault less.
    """
    aside = plan.uri.parent.parent / FOLDER / table_name(plan.uri) / f"{now:%Y-%m-%dT%H%M%S}"
    if plan.whole:
        move_folder(plan.uri, aside / plan.uri.name, f"repair.{table_name(plan.uri)}")
        return aside
    for place in plan.forget:
        with commit(f"repair.{table_name(plan.uri)}"):
            _copy(place, aside / place.name)
            withdraw(place)
    # Of several cut-off commits, the last one first: those before it stay what a crash left at the end of the log.
    for place in sorted(plan.undo, reverse=True):
        with commit(f"repair.{table_name(plan.uri)}"):
            _copy(place, aside / place.name)
            _replace(place, _no_change(place, now))
    if plan.empty:
        delta.empty_partitions(plan.uri, plan.empty)
    return aside


def _no_change(place: UPath, now: datetime) -> bytes:
    told = {
        "timestamp": int(now.timestamp() * 1000),
        "operation": "REPAIR",
        "operationParameters": {"replaces": f"{place.name}, which was cut off"},
        "engineInfo": "dagster_lake",
    }
    return json.dumps({"commitInfo": told}).encode() + b"\n"


def _copy(place: UPath, to: UPath) -> None:
    found = published(place)
    if found is not None:
        publish_bytes(to, found)


def _replace(place: UPath, content: bytes) -> None:
    if is_adls(place):
        from dagster_lake.storage.adls.blobs import upload_blob

        upload_blob(place, content, {})
        return
    temporary = Path(f"{place}.{os.getpid()}-{time.monotonic_ns()}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, str(place))
