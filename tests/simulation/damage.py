"""Files of tables that are damaged on disk, and the commands that the product names for it."""

import re
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HourRange
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, silver_table

_RANGE = re.compile(r"--partition-range (\S+)\.\.\.(\S+)")


def _cut_the_last_commit(table: Path, files: list[str], which: float) -> None:
    last = max((table / "_delta_log").glob("*.json"))
    last.write_bytes(last.read_bytes()[: int(last.stat().st_size * (0.1 + 0.8 * which))])


def _lose_a_file(table: Path, files: list[str], which: float) -> None:
    Path(files[int(which * len(files))]).unlink()


def _flip_a_bit(table: Path, files: list[str], which: float) -> None:
    file = Path(files[int(which * len(files))])
    content = bytearray(file.read_bytes())
    content[int(which * len(content))] ^= 4
    file.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, list[str], float], None]] = {
    "cut the last commit": _cut_the_last_commit,
    "lose a file": _lose_a_file,
    "flip a bit": _flip_a_bit,
}


def damaged_and_repaired(lake: Lake, data_set: str, layer: str, how: str, which: float) -> HourRange | None:
    """Damages a table in one of the ways of ``DAMAGES``, and repairs it by the commands that the product names.

    Gives the hours that are then to be made again, as it says; None for a table without rows, or when none are lost.
    """
    of = bronze_table if layer == "bronze" else silver_table
    pinned = delta.pin(of(lake, contracts()[data_set]).uri)
    if pinned is None or not pinned.files():
        return None
    table = Path(str(pinned.uri))
    name = f"{table.parent.name}.{table.name}"
    files = sorted(pinned.files())
    if not files:
        return None
    DAMAGES[how](table, files, which)
    found = _typed(1, "doctor", "--deep")
    assert f"`lake repair {name}`" in found, f"{how}: lake doctor --deep does not tell of {name}: {found}"
    repaired = _typed(0, "repair", name, "--yes")
    assert f"lake repair {name}" not in _typed(None, "doctor", "--deep")
    hours = _RANGE.search(repaired)
    return HourRange.of(*hours.groups()) if hours else None


def _typed(code: int | None, *command: str) -> str:
    """What a command says, in a process that knows nothing yet."""
    delta._held.clear()
    result = CliRunner().invoke(app, [*command], env={"COLUMNS": "500"}, catch_exceptions=False)
    assert code in (None, result.exit_code), result.output
    delta._held.clear()
    return result.output
