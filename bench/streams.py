"""Pageviews from the event log to every stream, and the streams beside Spark Structured Streaming and hand-written SQL.

Run: python -m bench.streams [--pageviews 10_000_000] [--quick] [--runs 1]

Ten days of pageviews, and the ratings that go with them, are put into the embedded event log. Landing, bronze, silver
and all streams are run for the first day and for the ten days, each as one range and each step in a fresh process.

Then all streams are computed again from the same files of silver into an empty lake, in turns: by our models, by DuckDB
SQL written by hand (bench/streams_by_hand.py) and, two of them, by Spark Structured Streaming (bench/streams_spark.py),
each time in a fresh process. The hand-written tables must hold the same columns, types and rows as ours; Spark's
cannot, so what it counted is told. "Alone" is the work once everything has started; "with start" is the whole process:
Python and its imports, dbt, the JVM. Seconds are medians; memory is the highest peak of a process, of its JVM too.

Ends with 2 when tables differ, and with 1 when an aim is missed: at most 1.5 times the hand-written SQL's time (one
stream alone, all of them with start), 5 times as fast as Spark, and for ten days at most 1.2 times the memory of one.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.demo_scale import difference
from bench.engines import jvm_megabytes
from bench.measure import judged, markdown, measured_process, middle, peak_megabytes, report, temporary_folder
from bench.stream_steps import TEN_DAYS, WHOLE, Lakes, measure_steps, stream_models
from bench.streams_by_hand import write_streams
from dagster_lake.settings.lake import Settings

MOST_TIMES_BY_HAND = 1.5
LEAST_TIMES_SPARK = 5.0
MOST_TIMES_MEMORY = 1.2
BESIDE_SPARK = ("pageviews_by_http_method_5m", "pageviews_stars_correlation")
ALL = "all"
SPARK_BATCH = 500_000
"""Pageviews of a micro-batch: larger ones are no faster, and the state of a join must fit the JVM."""


def main() -> int:
    """Runs everything, prints the tables and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pageviews", type=int, default=10_000_000, help="pageviews in the ten days")
    parser.add_argument("--quick", action="store_true", help="a tenth as many")
    parser.add_argument("--runs", type=int, default=1, help="runs of each stream and side; the median counts")
    parser.add_argument("--stream", nargs=4, metavar=("SIDE", "STREAM", "FROM", "INTO"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.stream:
        side, name, lake, out = wanted.stream
        stream(side, name, Path(lake), Path(out), wanted.pageviews)
        return 0
    with temporary_folder() as folder:
        return race(Lakes(folder, wanted.pageviews // 10 if wanted.quick else wanted.pageviews), wanted.runs)


def race(lakes: Lakes, runs: int) -> int:
    """Every step, then the streams in turns."""
    growth = measure_steps(lakes)
    turns = in_turns(lakes, runs)
    if turns.differing:
        print("\nThe rows differ, so nothing of this counts:", *turns.differing, sep="\n")
        return 2
    print("\nThe streams hold the same columns and rows as those written by hand.")
    missed = [f"ten days: {growth:.2f} times the memory of one day, {MOST_TIMES_MEMORY} or less wanted"]
    return judged([*(missed if growth > MOST_TIMES_MEMORY else []), *turns.missed()])


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds alone and with the start of its process, and the peak of its memory in megabytes."""

    alone: float
    with_start: float
    megabytes: float


@dataclass(frozen=True)
class Turns:
    """The costs by stream and side, and a sentence for each table that differs from the hand-written one."""

    costs: dict[str, dict[str, Cost]]
    differing: list[str]

    def missed(self) -> list[str]:
        """The aims that were missed."""
        found = []
        for name, sides in self.costs.items():
            ours, hand = sides["ours"], sides["hand"]
            ratio = ours.with_start / hand.with_start if name == ALL else ours.alone / hand.alone
            if ratio > MOST_TIMES_BY_HAND:
                found.append(f"{name}: {ratio:.2f} times the hand-written SQL, {MOST_TIMES_BY_HAND} or less wanted")
            if "spark" in sides and sides["spark"].alone / ours.alone < LEAST_TIMES_SPARK:
                ratio = sides["spark"].alone / ours.alone
                found.append(f"{name}: {ratio:.1f} times as fast as Spark, {LEAST_TIMES_SPARK:.0f} or more wanted")
        return found


def in_turns(lakes: Lakes, runs: int) -> Turns:
    """Two streams on all sides, then all streams on two; prints the table."""
    found: dict[str, dict[str, list[Cost]]] = {}
    differing, told = [], []
    for name in (*BESIDE_SPARK, ALL):
        sides = ("ours", "hand") if name == ALL else ("ours", "hand", "spark")
        found[name] = {side: [] for side in sides}
        for run in range(runs):
            with temporary_folder() as scratch:
                for side in sides:
                    found[name][side].append(run_stream(side, name, lakes, scratch / side))
                if run == 0:
                    differing += differences(scratch / "ours", scratch / "hand")
                    if "spark" in sides:
                        told.append(f"{name}: {counted(name, scratch)}")
    costs = {name: {side: middle_cost(measured) for side, measured in sides.items()} for name, sides in found.items()}
    print("\nThe streams of the ten days:\n")
    print(markdown(HEAD, [line for name, sides in costs.items() for line in lines(name, sides)]))
    print("\nSpark drops late events. ", "; ".join(told), ".", sep="")
    return Turns(costs, differing)


def differences(here: Path, there: Path) -> list[str]:
    """A sentence for each stream of one lake that is not the same in the other."""
    written = sorted(table.name for table in (here / "streams").iterdir())
    found = (difference("streams", name, here, there) for name in written)
    return [said for said in found if said]


HEAD = [
    "stream",
    "ours s",
    "by hand s",
    "Spark s",
    "ours / by hand",
    "Spark / ours",
    "ours MB",
    "by hand MB",
    "Spark MB",
]


def lines(name: str, sides: dict[str, Cost]) -> list[tuple[object, ...]]:
    """Two lines of the table: alone and with start."""
    found: list[tuple[object, ...]] = []
    for what in ("alone", "with start"):
        seconds = {side: getattr(cost, what.replace(" ", "_")) for side, cost in sides.items()}
        spark = seconds.get("spark", "")
        peaks = [f"{sides[side].megabytes:,.0f}" if side in sides else "" for side in ("ours", "hand", "spark")]
        found.append(
            (
                f"{name}, {what}",
                *(seconds["ours"], seconds["hand"], spark),
                seconds["ours"] / seconds["hand"],
                spark and spark / seconds["ours"],
                *(peaks if what == "alone" else ("", "", "")),
            )
        )
    return found


def run_stream(side: str, name: str, lakes: Lakes, out: Path) -> Cost:
    """One stream, or all, by one side in a fresh process."""
    settings = {**lakes.settings(out), "LAKE_SPARK_MEMORY": "4g"}
    arguments = ["--pageviews", lakes.pageviews, "--stream", side, name, lakes.folder / TEN_DAYS, out]
    cost = Cost(**measured_process("bench.streams", arguments, settings))
    print(f"{name}, {side}: {cost}", file=sys.stderr, flush=True)
    return cost


def middle_cost(runs: Sequence[Cost]) -> Cost:
    """The medians of the seconds, and the highest peak."""
    alone, with_start = middle([run.alone for run in runs]), middle([run.with_start for run in runs])
    return Cost(alone, with_start, max(run.megabytes for run in runs))


def counted(name: str, scratch: Path) -> str:
    """How many rows Spark wrote and how many we did, and for the aggregate, how many pageviews they count."""
    import duckdb

    from dagster_lake.storage.delta.write import pin
    from dagster_lake.storage.duckdb.scan import scan_sql
    from dagster_lake.storage.paths import Lake

    ours_pinned = pin(Lake.at(str(scratch / "ours")).table("streams", name))
    assert ours_pinned is not None
    sums = "count(*), sum(pageviews)" if name == "pageviews_by_http_method_5m" else "count(*)"
    with duckdb.connect(":memory:") as con:
        spark, ours = (
            con.execute(f"SELECT {sums} FROM ({rows})").fetchall()[0]
            for rows in (f"FROM read_parquet('{scratch}/spark/{name}/*.parquet')", scan_sql(ours_pinned))
        )
    views = f", counting {spark[1]:,} of {ours[1]:,} pageviews" if len(ours) > 1 else ""
    return f"{spark[0]:,} rows where we have {ours[0]:,}{views}"


# ---- in the process that is measured ----


def stream(side: str, name: str, lake: Path, out: Path, views: int) -> None:
    """Writes one stream, or all, of ``lake``'s silver into the new lake ``out``, and reports."""
    import psutil

    out.mkdir(parents=True)
    os.symlink(lake / "silver", out / "silver")
    if side == "ours":
        alone = ours(name)
    elif side == "hand":
        alone = by_hand(name, lake, out)
    else:
        alone = spark(name, lake, out, files=max(1, SPARK_BATCH * len(WHOLE) // views))
    with_start = time.time() - psutil.Process().create_time()
    report({"alone": alone, "with_start": with_start, "megabytes": peak_megabytes() + jvm_megabytes()})


def ours(name: str) -> float:
    """By dbt, as a Dagster run does it; gives the seconds of the models, which are run one after the other."""
    import dagster_lake.definitions  # noqa: F401
    from dagster_lake.dbt_runner.run import build
    from dagster_lake.lake_resource import LakeResource

    lake = LakeResource()
    models = stream_models() if name == ALL else [f"model.dagster_lake.{name}"]
    return sum(result.seconds for result in build(models, WHOLE, lake.lake, lake.settings))


def by_hand(name: str, lake: Path, out: Path) -> float:
    """By hand-written SQL; gives the seconds."""
    started = time.perf_counter()
    write_streams(lake, out, Settings(), WHOLE, None if name == ALL else name)
    return time.perf_counter() - started


def spark(name: str, lake: Path, out: Path, files: int) -> float:
    """By Spark Structured Streaming, ``files`` files a micro-batch; gives the seconds once Spark has started."""
    from bench.streams_spark import write_stream
    from dagster_lake.engines.spark.session import spark_session

    session = spark_session(Settings())
    started = time.perf_counter()
    write_stream(session, name, lake, out, files)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
