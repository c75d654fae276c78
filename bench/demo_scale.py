"""The demo at many times its size: the whole graph, and bronze, silver and gold beside hand-written DuckDB SQL.

Run: python -m bench.demo_scale [--times 100] [--runs 3]

First the whole graph is run once for a day. Then each layer is built again into an empty lake, in turns by the lake's
own steps and by hand (bench/by_hand.py), each time in a fresh process, from the same files of the layer before.
Our side of gold is dbt with everything it needs, its start and the hourly partial tables included, but not its tests:
no checks are run on either side. The hand-written tables must hold the same columns, types and rows as ours: the first
run of each layer is compared, and the benchmark ends with 2 when a table differs. Seconds are medians; memory is the
highest peak of a process. Exits with 1 when the sum of the layers takes more than 1.5 times as long as by hand.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import judged, markdown, measured_process, middle, peak_megabytes, report, temporary_folder
from bench.whole_graph import measure
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings

MOST = 1.5
DAY = HourRange.of("2026-01-01T00", "2026-01-01T23")
LAYERS = ("bronze", "silver", "gold")
TABLES = {
    "bronze": ["users", "vip_users", "products", "orders", "order_items", "pageviews", "stars"],
    "silver": [
        "users",
        "users_snapshots",
        "vip_users",
        "vip_users_snapshots",
        "products",
        "products_snapshots",
        "orders",
        "orders_changes",
        "order_items",
        "order_items_changes",
        "pageviews",
        "stars",
    ],
    "gold": ["engagements", "daily_sales", "product_performance", "users_history"],
}
READS = {"bronze": ("sources", "raw"), "silver": ("sources", "bronze"), "gold": ("sources", "silver")}
MADE = {"bronze": ("bronze",), "silver": ("silver", "quarantine"), "gold": ("gold",)}
Seconds = dict[str, float]


def main() -> int:
    """Runs everything, prints the tables and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="the size: so many times the demo's")
    parser.add_argument("--runs", type=int, default=3, help="runs of each layer and side; the median counts")
    parser.add_argument("--build", nargs=4, metavar=("SIDE", "LAYER", "FROM", "INTO"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.build:
        side, layer, lake, out = wanted.build
        build(side, layer, Path(lake), Path(out))
        return 0
    with temporary_folder() as folder:
        return race(folder, wanted.times, wanted.runs)


def race(folder: Path, times: int, runs: int) -> int:
    """The whole graph, then the layers in turns."""
    lake = folder / "lake"
    size = {"LAKE_" + name.upper(): value for name, value in sizes(times).items()}
    whole = measure(DAY, {**size, "LAKE_ROOT": lake})
    print(f"The whole graph at {times} times the demo, one run for 24 hours: {whole.seconds:.1f} s, ", end="")
    print(f"{whole.megabytes:,.0f} MB at the peak.\n")
    rows, differences = [], []
    total = {"ours": 0.0, "hand": 0.0}
    for layer in LAYERS:
        found: dict[str, list[tuple[Seconds, float]]] = {"ours": [], "hand": []}
        for run in range(runs):
            for side in found:
                with temporary_folder() as scratch:
                    out = scratch / side
                    command = ["--build", side, layer, lake, out]
                    result = measured_process("bench.demo_scale", command, {**size, "LAKE_ROOT": out})
                    found[side].append((result["seconds"], result["megabytes"]))
                    if run == 0 and side == "hand":
                        differences += compared(layer, lake, out)
        middles = {side: medians([seconds for seconds, _ in measured]) for side, measured in found.items()}
        for name in middles["ours"]:
            rows.append(row(f"{layer}/{name}", middles["ours"][name], middles["hand"].get(name)))
        sums = {side: middle([seconds["all"] for seconds, _ in measured]) for side, measured in found.items()}
        rows[-1] = row(f"**{layer}**", sums["ours"], sums["hand"])
        rows[-1] += tuple(f"{max(megabytes for _, megabytes in measured):,.0f}" for measured in found.values())
        for side in total:
            total[side] += sums[side]
    rows.append(row("**all three**", total["ours"], total["hand"]))
    head = ["step", "ours s", "by hand s", "ratio", "ours MB", "by hand MB"]
    print(markdown(head, [entry + ("",) * (len(head) - len(entry)) for entry in rows]))
    if differences:
        print("\nThe hand-written tables differ, so nothing of this counts:", *differences, sep="\n")
        return 2
    print("\nAll tables hold the same columns and rows on both sides.")
    ratio = total["ours"] / total["hand"]
    return judged([f"{ratio:.2f} times the hand-written SQL, {MOST} or less wanted"] if ratio > MOST else [])


def sizes(times: int) -> dict[str, int]:
    """The demo's settings, so many times larger."""
    scaled = ("users", "vip_users", "products", "orders_per_hour", "pageviews_per_hour")
    return {name: times * int(Settings.model_fields[name].default) for name in scaled}


def row(name: str, ours: float, hand: float | None) -> tuple[object, ...]:
    """A line of the table."""
    return (name, ours, "" if hand is None else hand, "" if not hand else ours / hand)


def medians(runs: list[Seconds]) -> Seconds:
    """The median of each entry."""
    return {name: middle([seconds[name] for seconds in runs]) for name in runs[0]}


# ---- in the process that is measured ----


def build(side: str, layer: str, lake: Path, out: Path) -> None:
    """Builds ``layer`` into the new lake ``out`` from the layer before of ``lake``, and reports."""
    for zone in ("", "sensitive"):
        (out / zone).mkdir(parents=True)
        for part in READS[layer]:
            if (lake / zone / part).exists():
                os.symlink(lake / zone / part, out / zone / part)
    seconds = ours(layer) if side == "ours" else hand(layer, lake, out)
    report({"seconds": seconds, "megabytes": peak_megabytes()})


def ours(layer: str) -> Seconds:
    """The lake's own steps."""
    # The definitions are loaded before the clock starts, as they are when a Dagster run starts.
    import dagster_lake.definitions  # noqa: F401

    return our_gold() if layer == "gold" else our_steps(layer)


def our_steps(layer: str) -> Seconds:
    """Bronze, or silver with quarantine and the newest rows, one data set after another."""
    from dagster_lake.defs.contracts.pending import pending_snapshots
    from dagster_lake.engines.step import Step
    from dagster_lake.lake_resource import LakeResource
    from dagster_lake.storage.tables import has_newest

    lake = LakeResource()

    def run(name: str) -> None:
        contract = lake.contracts[name]
        for step in ["bronze"] if layer == "bronze" else ["silver", "newest"]:
            if step == "newest" and not has_newest(contract):
                continue
            partitions = DAY.keys if contract.cadence == "hourly" else pending_snapshots(lake.lake, contract, step)
            lake.engine.run(Step(name, step, tuple(partitions)))  # type: ignore[arg-type]

    return timed({name: (lambda name=name: run(name)) for name in TABLES["bronze"]})


def our_gold() -> Seconds:
    """Both dbt runs, and the seconds that dbt gives for each model; models run beside each other."""
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.dbt_runner.run import build as dbt_build
    from dagster_lake.lake_resource import LakeResource

    lake, models = LakeResource(), [n for n in manifest()["nodes"].values() if n["resource_type"] == "model"]
    seconds: Seconds = {}
    started = time.perf_counter()
    for hours in (DAY, None):
        chosen = [model["unique_id"] for model in models if ("hourly" in model["tags"]) == (hours is not None)]
        for result in dbt_build(chosen, hours, lake.lake, lake.settings):
            seconds[result.name] = result.seconds
    return {**seconds, "all": time.perf_counter() - started}


def hand(layer: str, lake: Path, out: Path) -> Seconds:
    """The hand-written jobs."""
    from bench.by_hand import by_hand

    with by_hand(lake, out, Settings()) as jobs:
        return timed(jobs.jobs(layer))


def timed(jobs: dict[str, Callable[[], None]]) -> Seconds:
    """The seconds of each job, and of all."""
    seconds: Seconds = {}
    for name, job in jobs.items():
        started = time.perf_counter()
        job()
        seconds[name] = time.perf_counter() - started
    return {**seconds, "all": sum(seconds.values())}


# ---- comparing ----


def compared(layer: str, lake: Path, out: Path) -> list[str]:
    """A sentence for each table of ``layer`` that is not the same in the lake and in ``out``."""
    names = [(layer, name) for name in TABLES[layer]]
    if layer == "silver":
        names += [("quarantine", name) for name in TABLES["bronze"]]
    return [said for part, name in names if (said := difference(part, name, lake, out))]


def difference(layer: str, name: str, lake: Path, out: Path) -> str:
    """How a table differs, or nothing."""
    import duckdb
    from deltalake import DeltaTable
    from upath import UPath

    from dagster_lake.storage.delta.write import Pinned
    from dagster_lake.storage.duckdb.scan import scan_sql

    zones = [root / "sensitive" if (root / "sensitive" / layer / name).exists() else root for root in (lake, out)]
    places = [UPath(zone / layer / name) for zone in zones]
    pinned = [Pinned(place, DeltaTable(str(place))) for place in places]
    columns = [{c.name: c.type for c in table.schema} for table in pinned]
    if list(columns[0].items()) != list(columns[1].items()):
        return f"- {layer}/{name}: columns {columns[0]} by us, {columns[1]} by hand"
    with duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        ours, theirs = (f"({scan_sql(table)})" for table in pinned)
        rows = [con.sql(f"FROM {a} EXCEPT ALL FROM {b}").fetchall() for a, b in [(ours, theirs), (theirs, ours)]]
    if not any(rows):
        return ""
    shown = "; ".join(
        f"only {side}: {found[0]}" for side, found in zip(("ours", "by hand"), rows, strict=True) if found
    )
    return f"- {layer}/{name}: {len(rows[0]):,} rows only ours, {len(rows[1]):,} only by hand. {shown}"


if __name__ == "__main__":
    sys.exit(main())
