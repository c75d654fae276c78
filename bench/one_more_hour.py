"""What one more hour costs after a short and after a long history: it should be the same.

Run: python -m bench.one_more_hour [--history 24 2400]

The history is built the ordinary way: sources, raw, bronze, silver, newest rows, the streams and the hourly chain of
gold, as range runs of 24 hours each, so that tables have an hourly partition and logs have a commit a range; its
hours are small, the demo's size by default. Then three more hours of at least 100,000 events each (pageviews, stars,
orders and order items) are run one by one, in a fresh process in which the hour before was materialised again first,
so that imports and dbt's parsing are not counted; each hour reads the tables' logs anew. The histories take turns, on
copies, so that what else the machine does falls on all of them; the median of the hours counts. Putting the events into
the sources is not part of it, nor are the checks, which are shown below the sum. Snapshots come once, before the
history. Exits with 1 when the hour after the longest history takes more than 1.2 times as long as after the shortest.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any

from bench.measure import judged, markdown, measured_process, middle, report, temporary_folder
from dagster_lake.defs.partitions import FIRST_HOUR
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour
from dagster_lake.lake_resource import LakeResource
from generators import orders, pageviews
from generators.world import World

MOST = 1.2
FIRST = parse_hour(FIRST_HOUR)
HOURLY = ("orders", "order_items", "pageviews", "stars")
SNAPSHOTS = ("users", "vip_users", "products")
Job = Callable[[], object]


def main() -> int:
    """Builds, measures, prints the table and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=int, nargs="+", default=[24, 2400], help="hours before, multiples of --range")
    parser.add_argument("--range", type=int, default=24, help="hours of history that one run materialises")
    parser.add_argument("--events", type=int, default=100_000, help="events of each measured hour, at least")
    parser.add_argument("--hours", type=int, default=3, help="measured hours after each history, in each turn")
    parser.add_argument("--turns", type=int, default=2, help="how often the histories are measured, one after another")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--pageviews", type=int, default=1_200, help="an hour of history")
    parser.add_argument("--orders", type=int, default=40, help="an hour of history")
    parser.add_argument("--build", type=int, nargs=2, metavar=("FROM", "TO"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=int, metavar="AFTER", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.build:
        report(build(*wanted.build, wanted.range))
        return 0
    if wanted.measure is not None:
        report(measure(wanted.measure, wanted.hours, wanted.events))
        return 0
    with temporary_folder() as folder:
        return compare(folder, sorted(wanted.history), wanted)


def compare(folder: Path, histories: list[int], wanted: argparse.Namespace) -> int:
    """Builds the longest history, with a copy on the way for each shorter one, and measures them in turns."""
    lake = folder / "lake"
    size = {"USERS": wanted.users, "PAGEVIEWS_PER_HOUR": wanted.pageviews, "ORDERS_PER_HOUR": wanted.orders}
    settings = {"LAKE_" + name: value for name, value in size.items()}
    built, seconds = 0, 0.0
    for history in histories:
        arguments = ["--build", built, history, "--range", wanted.range]
        seconds += measured_process("bench.one_more_hour", arguments, {**settings, "LAKE_ROOT": lake})
        built = history
        shutil.copytree(lake, folder / f"after-{history}")
        print(
            f"{history:,} hours of history ({wanted.pageviews:,} pageviews and {wanted.orders:,} orders an hour, "
            f"{wanted.users:,} users) took {seconds:,.0f} s to build, {wanted.range} hours a run."
        )
    found: list[list[dict[str, Any]]] = [[] for _ in histories]
    for _ in range(wanted.turns):
        for history, hours in zip(histories, found, strict=True):
            copy = folder / "measured"
            shutil.copytree(folder / f"after-{history}", copy)
            arguments = ["--measure", history, "--hours", wanted.hours, "--events", wanted.events]
            hours += measured_process("bench.one_more_hour", arguments, {**settings, "LAKE_ROOT": copy})
            shutil.rmtree(copy)
    events = [middle([hour["events"] for hour in hours]) for hours in found]
    print(f"\nEvents an hour measured: {', '.join(f'{count:,.0f}' for count in events)}. Seconds of the median hour:\n")
    columns = [medians([hour["steps"] for hour in hours]) for hours in found]
    checks = [medians([hour["checks"] for hour in hours]) for hours in found]
    sums = [middle([sum(hour["steps"].values()) for hour in hours]) for hours in found]
    rows = [(step, *(c[step] for c in columns), columns[-1][step] / columns[0][step]) for step in columns[0]]
    rows.append(("**sum**", *sums, sums[-1] / sums[0]))
    worked = [middle([hour["processor"] for hour in hours]) for hours in found]
    rows.append(("processor seconds of the sum", *worked, worked[-1] / worked[0]))
    rows += [(step, *(c[step] for c in checks), checks[-1][step] / checks[0][step]) for step in checks[0]]
    print(markdown(["step", *(f"after {history:,} h" for history in histories), "ratio"], rows))
    ratio = sums[-1] / sums[0]
    return judged([f"{ratio:.2f} times as long, {MOST} or less wanted"] if ratio > MOST else [])


def medians(hours: list[dict[str, float]]) -> dict[str, float]:
    """The median of each step over the hours."""
    return {step: middle([hour[step] for hour in hours]) for step in hours[0]}


# ---- in the process that works ----


def build(first: int, last: int, run_hours: int) -> float:
    """Builds the hours from ``first`` up to ``last`` of the history, and the snapshots before hour 0; in seconds."""
    lake = LakeResource()
    started = time.perf_counter()
    if first == 0:
        for data_set in SNAPSHOTS:
            land_snapshot(lake, data_set)
    for start in range(first, last, run_hours):
        hours = HourRange(FIRST + start * HOUR, FIRST + (min(start + run_hours, last) - 1) * HOUR)
        generate(lake, hours, world(lake))
        for _, step in steps(lake, hours):
            step()
        if (start // run_hours) % 10 == 0:
            print(f"{hours.keys[-1]} built after {time.perf_counter() - started:,.0f} s", file=sys.stderr, flush=True)
    return time.perf_counter() - started


def measure(history: int, hours: int, events: int) -> list[dict[str, object]]:
    """The seconds of each step, of ``hours`` hours one after another."""
    lake = LakeResource()
    last = HourRange(FIRST + (history - 1) * HOUR, FIRST + (history - 1) * HOUR)
    for _, step in [*steps(lake, last), *checks(lake, last)]:
        step()
    more = HourRange(FIRST + history * HOUR, FIRST + (history + hours - 1) * HOUR)
    busy = busy_world(lake, more, events)
    return [measured_hour(lake, HourRange(hour, hour), busy) for hour in more]


def measured_hour(lake: LakeResource, hour: HourRange, busy: World) -> dict[str, object]:
    """Puts one busy hour into the sources, and times each step of it."""
    from dagster_lake.landing.land import manifests
    from dagster_lake.storage.delta import write as delta

    generate(lake, hour, busy)
    delta._held.clear()  # an hourly run begins in a new process, which has read no log yet
    before = time.process_time()
    timed = {name: seconds(step) for name, step in steps(lake, hour)}
    processor = time.process_time() - before
    checked = {name: seconds(step) for name, step in checks(lake, hour)}
    rows = sum(m.rows for name in HOURLY for m in manifests(lake.lake, lake.contracts[name], hour.keys))
    return {"steps": timed, "processor": processor, "checks": checked, "events": rows}


def seconds(job: Job) -> float:
    """How long it takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def steps(lake: LakeResource, hours: HourRange) -> Iterator[tuple[str, Job]]:
    """Everything that materialises these hours, in order."""
    from dagster_lake.engines.step import Step
    from dagster_lake.landing.land import land_hours
    from dagster_lake.storage.tables import has_newest

    for name in HOURLY:
        yield f"raw/{name}", lambda name=name: land_hours(lake.contracts[name], lake.lake, hours, lake.sources)
    for layer in ("bronze", "silver", "newest"):
        for name in HOURLY:
            if layer != "newest" or has_newest(lake.contracts[name]):
                step = Step(name, layer, tuple(hours.keys))  # type: ignore[arg-type]
                yield f"{layer}/{name}", lambda step=step: lake.engine.run(step)
    yield "streams", lambda: dbt(lake, hours, "streams", "model")
    yield "gold, hourly chain", lambda: dbt(lake, hours, "gold", "model")


def checks(lake: LakeResource, hours: HourRange) -> Iterator[tuple[str, Job]]:
    """What checks these hours: the contracts' rules on silver, and dbt's tests of the hourly chain."""
    from dagster_lake.engines.step import Check

    for name in HOURLY:
        contract = lake.contracts[name]
        every = {"keys_unique", "rules_hold", *(f"{p.name}_exists" for p in contract.properties if p.references)}
        check = Check(name, tuple(hours.keys), tuple(sorted(every)))
        yield f"checks/{name}", lambda check=check: lake.engine.check(check)
    yield "checks/streams", lambda: dbt(lake, hours, "streams", "test")
    yield "checks/gold, hourly chain", lambda: dbt(lake, hours, "gold", "test")


def dbt(lake: LakeResource, hours: HourRange, schema: str, kind: str) -> None:
    """Runs the hourly models of a schema, or their tests, as a run of Dagster does."""
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.dbt_runner.run import build as dbt_build

    nodes = manifest()["nodes"]
    hourly = (id for id, node in nodes.items() if node["resource_type"] == "model" and "hourly" in node["tags"])
    models = {id for id in hourly if nodes[id]["schema"] == schema}
    tests = [id for id, node in nodes.items() if node.get("attached_node") in models]
    list(dbt_build(sorted(models) if kind == "model" else tests, hours, lake.lake, lake.settings))


# ---- sources ----


def world(lake: LakeResource) -> World:
    """The world of the history."""
    from dagster_lake.shop.world import world_of

    return world_of(lake.settings)


def busy_world(lake: LakeResource, hours: HourRange, events: int) -> World:
    """A world in which each of ``hours`` has so many events or a little more: six of seven are pageviews.

    Its rate follows from the quietest of the hours, so that the same hours of another day are as busy.
    """
    quiet = world(lake)
    trial = World(orders_per_hour=100_000, pageviews_per_hour=100_000)
    counts = [min(len(source.rows_of_hour(trial, hour)) for hour in hours) for source in (orders, pageviews)]
    items_and_order = 6  # an order has five and a half items on average
    wanted = (events / 7 / items_and_order, events * 6 / 7)
    rates = [ceil(rows * 100_000 / found) for rows, found in zip(wanted, counts, strict=True)]
    return World(quiet.seed, quiet.users, quiet.vip_users, quiet.products, *rates)


def generate(lake: LakeResource, hours: HourRange, from_world: World) -> None:
    """Puts the hours' rows and events into the database and the event hubs."""
    from dagster_lake.shop.database import open_shop
    from dagster_lake.shop.world import dirt_of
    from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
    from generators.database import table_batches
    from generators.events import hub_batches

    dirt, hub = dirt_of(lake.settings), lake.sources.event_hub
    shop = open_shop(lake.settings, lake.lake)
    assert isinstance(hub, EmbeddedEventHub)
    assert shop is not None
    for hour in hours:
        tables = ("orders", "order_items")
        shop.upsert({table: table_batches(from_world, table, hour, dirt) for table in tables})
        for name in ("pageviews", "stars"):
            hub.append(name, f"generated {hour_key(hour)}", hub_batches(from_world, name, hour, dirt))


def land_snapshot(lake: LakeResource, data_set: str) -> None:
    """Writes a snapshot into the landing folder and takes it to silver."""
    from dagster_lake.defs.contracts.pending import pending_snapshots
    from dagster_lake.engines.step import Step
    from dagster_lake.landing.land import land_snapshot as land
    from dagster_lake.landing.whole import tell_whole
    from dagster_lake.shop.world import dirt_of
    from dagster_lake.storage.paths import local_path
    from generators import files

    write = {"users": files.write_users, "vip_users": files.write_vip_users, "products": files.write_products}
    contract = lake.contracts[data_set]
    folder = local_path(lake.lake.landing(data_set))
    folder.mkdir(parents=True, exist_ok=True)
    write[data_set](world(lake), folder, dirt_of(lake.settings))
    tell_whole(contract, lake.lake, lambda _: True)
    land(contract, lake.lake)
    for layer in ("bronze", "silver", "newest"):
        lake.engine.run(Step(data_set, layer, tuple(pending_snapshots(lake.lake, contract, layer))))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
