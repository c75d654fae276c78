"""Pageviews and their ratings from the event log to every stream: one day, and ten days as one range.

Run by bench.streams: python -m bench.stream_steps STEP FIRST_HOUR LAST_HOUR. The lake and its size come from LAKE_*.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

from bench.measure import markdown, measured_process, peak_megabytes, report
from bench.one_more_hour import land_snapshot
from dagster_lake.defs.partitions import FIRST_HOUR
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour
from dagster_lake.lake_resource import LakeResource
from generators import pageviews
from generators.world import World

FIRST = parse_hour(FIRST_HOUR)
DAYS = [HourRange(FIRST + 24 * n * HOUR, FIRST + (24 * n + 23) * HOUR) for n in range(10)]
WHOLE = HourRange(DAYS[0].first, DAYS[-1].last)
DATA_SETS = ("pageviews", "stars")
SNAPSHOTS = ("users", "vip_users")
Job = Callable[[LakeResource, HourRange], object]
ONE_DAY, TEN_DAYS = "one-day", "ten-days"
"""The lakes that are filled, each by one range."""


@dataclass(frozen=True)
class Lakes:
    """A folder with an event log of so many pageviews in ten days, and the lakes filled from it."""

    folder: Path
    pageviews: int

    def settings(self, lake: Path) -> dict[str, object]:
        """The settings of a lake on this log; users in the demo's proportion."""
        trial = World(pageviews_per_hour=100_000)
        found = sum(len(pageviews.rows_of_hour(trial, hour)) for hour in WHOLE)
        rate = ceil(self.pageviews * 100_000 / found)
        return {
            "LAKE_ROOT": lake,
            "LAKE_SOURCES": self.folder / "sources",
            "LAKE_ENGINE": "duckdb",
            "LAKE_PAGEVIEWS_PER_HOUR": rate,
            "LAKE_USERS": ceil(rate / 1.2),
            "LAKE_VIP_USERS": ceil(rate / 24),
        }

    def run(self, lake: str, step: str, hours: HourRange = WHOLE) -> Any:
        """What a step on one of the lakes reports, from a fresh process."""
        arguments = [step, hours.keys[0], hours.keys[-1]]
        found = measured_process("bench.stream_steps", arguments, self.settings(self.folder / lake))
        print(f"{lake}, {step}: {found}", file=sys.stderr, flush=True)
        return found


def measure_steps(lakes: Lakes) -> float:
    """Fills the lakes and prints what it took; gives how many times one day's memory ten days took."""
    generated = lakes.run(TEN_DAYS, "generate")
    print(f"Generated: {generated['events']:,} events in {generated['seconds']:.1f} s.")
    ranges: dict[str, dict[str, Any]] = {}
    for lake, hours in ((ONE_DAY, DAYS[0]), (TEN_DAYS, WHOLE)):
        lakes.run(lake, "snapshots")
        ranges[lake] = {step: lakes.run(lake, step, hours) for step in STEPS}

    events = [found["raw"]["events"] for found in ranges.values()]
    head = ["step", *(f"{count:,}: {what}" for count in events for what in ("s", "events/s", "MB")), "MB, ratio"]
    print(f"\nOne day and ten days, each as one range; so many events:\n\n{markdown(head, rows(ranges, events))}")
    one, ten = (max(float(step["megabytes"]) for step in steps.values()) for steps in ranges.values())
    return ten / one


def rows(ranges: Mapping[str, Mapping[str, Any]], events: Sequence[int]) -> list[tuple[object, ...]]:
    """The table of the ranges: each step at each size, and all."""
    found: list[tuple[object, ...]] = []
    for step in (*STEPS, "**all**"):
        cells: list[object] = []
        peaks = []
        for steps, count in zip(ranges.values(), events, strict=True):
            costs = [steps[step]] if step in steps else list(steps.values())
            seconds = sum(cost["seconds"] for cost in costs)
            peaks.append(max(cost["megabytes"] for cost in costs))
            cells += [seconds, round(count / seconds), f"{peaks[-1]:,.0f}"]
        found.append((step, *cells, peaks[-1] / peaks[0]))
    return found


# ---- in the process that is measured ----


def main() -> None:
    """Runs a step and reports."""
    # Loaded before the clock starts, as they are when a Dagster run starts.
    import dagster_lake.definitions  # noqa: F401

    name, first, last = sys.argv[1:]
    lake, hours = LakeResource(), HourRange.of(first, last)
    if name == "snapshots":
        land_snapshots(lake)
        report(None)
    else:
        took, events = timed({"generate": generate, **STEPS}[name], lake, hours)
        report({"seconds": took, "megabytes": peak_megabytes(), "events": events})


def timed(step: Job, lake: LakeResource, hours: HourRange) -> tuple[float, object]:
    """The seconds that a step takes, and what it gives."""
    started = time.perf_counter()
    found = step(lake, hours)
    return time.perf_counter() - started, found


def generate(lake: LakeResource, hours: HourRange) -> int:
    """Puts the events of the hours into the embedded log; gives how many."""
    from dagster_lake.shop.world import dirt_of, world_of
    from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
    from generators.events import hub_batches

    hub, world, dirt = lake.sources.event_hub, world_of(lake.settings), dirt_of(lake.settings)
    assert isinstance(hub, EmbeddedEventHub)
    return sum(
        hub.append(name, f"generated {hour_key(hour)}", hub_batches(world, name, hour, dirt))
        for hour in hours
        for name in DATA_SETS
    )


def land_snapshots(lake: LakeResource) -> None:
    """Takes the snapshots that streams are joined with to silver; they are there before the first hour."""
    for name in SNAPSHOTS:
        land_snapshot(lake, name)


def land(lake: LakeResource, hours: HourRange) -> int:
    """Lands the hours in raw; gives how many events they have."""
    from dagster_lake.landing.land import land_hours, manifests

    for name in DATA_SETS:
        land_hours(lake.contracts[name], lake.lake, hours, lake.sources)
    return sum(m.rows for name in DATA_SETS for m in manifests(lake.lake, lake.contracts[name], hours.keys))


def to_layer(layer: Literal["bronze", "silver"]) -> Job:
    """The step that takes pageviews and stars to this layer."""
    from dagster_lake.engines.step import Step

    def step(lake: LakeResource, hours: HourRange) -> None:
        for name in DATA_SETS:
            lake.engine.run(Step(name, layer, tuple(hours.keys)))

    return step


def all_streams(lake: LakeResource, hours: HourRange) -> None:
    """Runs dbt for every stream, its start included; no tests."""
    from dagster_lake.dbt_runner.run import build

    list(build(stream_models(), hours, lake.lake, lake.settings))


def stream_models() -> list[str]:
    """The streams' ids in dbt."""
    from dagster_lake.dbt_runner.manifest import STREAMS, manifest

    nodes = manifest()["nodes"].values()
    return [node["unique_id"] for node in nodes if node["resource_type"] == "model" and node["schema"] == STREAMS]


STEPS: dict[str, Job] = {
    "raw": land,
    "bronze": to_layer("bronze"),
    "silver": to_layer("silver"),
    "streams": all_streams,
}


if __name__ == "__main__":
    main()
