"""How soon an alert is noted after its event arrived, while events come at a steady rate: p50 and p99.

Run: python -m bench.alert_latency [--rate 1000] [--minutes 3] [--already 0]

`python -m generators stream` sends pageviews to an embedded hub and `lake stream` lands them, each a process of its own
on this machine. The open hour can be given events to begin with (--already), as it has them late in the hour: the
tables are then made anew from all of these while alerts are to be told. Measured from the instant at which the hub
enqueued an event until its alert was noted in streams.alert_notices. What arrived in the first 30 s after `lake stream`
began to land does not count. Afterwards the verifier (bench.verify_streams) must find every table exact. Exits with 1
when it does not, or when fewer than 95% of the rate arrived.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.measure import MEGABYTE, judged, temporary_folder
from bench.stream_truth import SECOND, micros
from bench.verify_streams import Findings, delays, told, verify
from dagster_lake.lake_hour import HourRange, hour_of
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.sources.choice import open_sources
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.storage.paths import Lake
from generators.columns import times
from generators.dials import Dirt
from generators.live import live_data_set
from generators.world import World

WARM_UP = 30 * SECOND
LAKE = [sys.executable, "-c", "from dagster_lake.cli import app; app(prog_name='lake')"]
_ALREADY_ROW = 1_000_000_000  # far from the rows that are sent live
_BATCH = 65_536


def main() -> int:
    """Sends and lands, verifies, prints and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long events are sent")
    parser.add_argument("--already", type=int, default=0, help="events that the open hour holds before")
    parser.add_argument("--every", default="1s", help="how often lake stream looks for new events")
    wanted = parser.parse_args()
    with temporary_folder() as folder:
        lake = Lake.at(str(folder / "lake"))
        hub = EmbeddedEventHub(lake.sources / "event_hub")
        if wanted.already:
            hub.append("pageviews", "already", already(wanted.already, datetime.now(UTC)))
        began = datetime.now(UTC)
        peak, said = run(folder / "lake", wanted.rate, 60 * wanted.minutes, wanted.every)
        findings = verify(
            lake,
            open_sources(Settings(root=str(folder / "lake")), lake),
            HourRange(hour_of(began), hour_of(datetime.now(UTC))),
        )
    return concluded(findings, wanted, micros(began), peak, said)


def concluded(findings: Findings, wanted: argparse.Namespace, began: int, peak: float, said: str) -> int:
    """Prints what was found, and judges."""
    live = [(arrived, at) for arrived, at in findings.noted if arrived > began]
    counted = [(arrived, at) for arrived, at in live if arrived > min(at for _, at in live) + WARM_UP]
    print(f"{wanted.rate:,} events/s for {wanted.minutes:g} min, {wanted.already:,} in the open hour before.")
    if not counted:
        print(said)
        return judged(["alerts within the time; the run was too short, or see above why there are none"])
    print(f"From arrival to notice, without the first {WARM_UP // SECOND} s: {delays(counted)}.")
    print(f"Most memory of lake stream: {peak:,.0f} MB. Its last line: {said.splitlines()[-1]}\n")
    print(told(findings))
    rate = (findings.events - wanted.already) / (60 * wanted.minutes)
    missed = [
        f"0 lost, 0 doubled, 0 out of sequence in {name}" for name, v in findings.verdicts.items() if not v.is_exact
    ]
    return judged(
        missed + ([f"{0.95 * wanted.rate:,.0f} events/s sent, not {rate:,.0f}"] if rate < 0.95 * wanted.rate else [])
    )


def run(root: Path, rate: int, seconds: float, every: str) -> tuple[float, str]:
    """Sends for so many seconds, and lands a little longer; the most memory of that in MB, and what it said."""
    environment = {**os.environ, "LAKE_ROOT": str(root), "PYTHONWARNINGS": "ignore"}
    sending = [
        sys.executable,
        "-m",
        "generators",
        "stream",
        "pageviews",
        "--rate",
        f"{rate}/s",
        "--for",
        f"{seconds:g}s",
    ]
    landing = [*LAKE, "stream", "--for", f"{seconds + 15:g}s", "--every", every]
    generator = subprocess.Popen(sending, env=environment, cwd=PROJECT_ROOT)
    stream = subprocess.Popen(landing, env=environment, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
    peak = [0.0]
    watch = threading.Thread(target=_watch, args=(stream, peak))
    watch.start()
    said, _ = stream.communicate()
    watch.join()
    if generator.wait() or stream.returncode:
        sys.exit(f"the generator ended with {generator.returncode}, lake stream with {stream.returncode}:\n{said}")
    return peak[0], said


def _watch(process: "subprocess.Popen[str]", peak: list[float]) -> None:
    import psutil

    watched = psutil.Process(process.pid)
    while process.poll() is None:
        with suppress(psutil.Error):
            peak[0] = max(peak[0], watched.memory_info().rss / MEGABYTE)
        time.sleep(0.2)


def already(events: int, now: datetime) -> Iterator[pa.RecordBatch]:
    """So many pageviews that arrived evenly since the open hour began."""
    start, end = micros(hour_of(now)), micros(now)
    per_second = events * SECOND / (end - start)
    live, world = live_data_set(World(seed=1), "pageviews", per_second, _ALREADY_ROW, start + 1)
    for first in range(live.first, live.first + events, _BATCH):
        rows = np.arange(first, min(first + _BATCH, live.first + events), dtype=np.int64)
        sent = live.batch(world, rows, Dirt.none())
        yield sent.add_column(0, "enqueued_time", times(live.arrivals(world, rows)))


if __name__ == "__main__":
    sys.exit(main())
