"""A soak: `lake stream` killed at random for minutes; nothing lost or doubled, and memory and files that do not grow.

Run: python -m bench.soak [--minutes 15] [--rate 200] [--kept-minutes 60] [--seed 1]

`python -m generators stream` sends pageviews to an embedded hub; `lake stream` lands them and makes the tables, is
killed with SIGKILL after 20 to 80 s and started again. Every ten seconds its memory, its open files and the files below
the lake are counted. With --kept-minutes 0 replaced files go at once and tables are tidied at every pass, so that a
bound shows within minutes. At the end it runs once more, and the verifier (bench.verify_streams) must find every table
exact. Exits with 1 when it does not, or when the last third of the time has half as much again as the middle third of
memory, open files, or files of the table that has most.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.measure import judged, markdown, middle, temporary_folder
from bench.verify_streams import told, verify
from dagster_lake.lake_hour import HourRange, hour_of
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.sources.choice import open_sources
from dagster_lake.storage.paths import Lake

_START = "from dagster_lake.cli import app; app(prog_name='lake')"
_TIDY = "from dagster_lake.live import tidy; from datetime import timedelta; "
LOOK_SECONDS = 10


class Look(NamedTuple):
    """What was there at one instant."""

    megabytes: float
    open_files: int
    lake_files: int
    most_of_a_table: int


def main() -> int:
    """Sends, lands, kills, verifies, prints and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long events are sent")
    parser.add_argument("--rate", type=int, default=200, help="events a second")
    parser.add_argument("--kept-minutes", type=float, default=60.0, help="how long replaced files stay")
    parser.add_argument("--seed", type=int, default=1, help="of the instants at which it is killed")
    wanted = parser.parse_args()
    with temporary_folder() as folder:
        root, began = folder / "lake", datetime.now(UTC)
        looks, kills = soak(root, wanted)
        lake = Lake.at(str(root))
        hours = HourRange(hour_of(began), hour_of(datetime.now(UTC)))
        findings = verify(lake, open_sources(Settings(root=str(root)), lake), hours)
    print(f"{wanted.rate} events/s for {wanted.minutes:g} min, killed {kills} times.\n")
    thirds = [looks[len(looks) * n // 3 : len(looks) * (n + 1) // 3] for n in range(3)]
    medians = [[middle([look[place] for look in third]) for third in thirds] for place in range(len(Look._fields))]
    rows = [
        [name.replace("_", " "), *(f"{value:,.0f}" for value in of)]
        for name, of in zip(Look._fields, medians, strict=True)
    ]
    print(markdown(["median", "first third", "second", "last"], rows))
    print(told(findings))
    missed = [f"0 lost, 0 doubled, 0 out of sequence in {n}" for n, v in findings.verdicts.items() if not v.is_exact]
    flat = {name: of for name, of in zip(Look._fields, medians, strict=True) if name != "lake_files"}
    missed += [
        f"{name} that stays: {of[1]:,.0f}, then {of[2]:,.0f}" for name, of in flat.items() if of[2] > 1.5 * of[1]
    ]
    return judged(missed)


def soak(root: Path, wanted: argparse.Namespace) -> tuple[list[Look], int]:
    """Runs it; what was seen every ten seconds, and how often `lake stream` was killed."""
    environment = {**os.environ, "LAKE_ROOT": str(root), "PYTHONWARNINGS": "ignore"}
    sending = [
        "-m",
        "generators",
        "stream",
        "pageviews",
        "--rate",
        f"{wanted.rate}/s",
        "--for",
        f"{wanted.minutes * 60:g}s",
    ]
    generator = subprocess.Popen(
        [sys.executable, *sending], env=environment, cwd=PROJECT_ROOT, stderr=subprocess.DEVNULL
    )
    kept = f"{_TIDY}tidy.KEPT = timedelta(minutes={wanted.kept_minutes}); "
    kept += "tidy.EVERY = timedelta(0); " if not wanted.kept_minutes else ""
    command = [sys.executable, "-c", kept + _START, "stream"]
    chance, looks, kills = random.Random(wanted.seed), [], 0
    while generator.poll() is None:
        with subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL) as stream:
            until = time.monotonic() + chance.uniform(20, 80)
            while time.monotonic() < until and generator.poll() is None:
                time.sleep(LOOK_SECONDS)
                looks += _look(stream.pid, root)
            stream.kill()
            kills += 1
    subprocess.run([*command, "--once"], env=environment, cwd=PROJECT_ROOT, check=True, stdout=subprocess.DEVNULL)
    return looks, kills


def _look(pid: int, root: Path) -> list[Look]:
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text()
        memory = int(status.split("VmRSS:")[1].split()[0]) / 1024
        open_files = len(os.listdir(f"/proc/{pid}/fd"))
        tables = {str(table): _files(table) for layer in ("silver", "streams") for table in (root / layer).glob("*")}
        in_lake = _files(root) - _files(root / "sources")  # the hub is the outside world
        return [Look(memory, open_files, in_lake, max(tables.values(), default=0))]
    return []


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


if __name__ == "__main__":
    sys.exit(main())
