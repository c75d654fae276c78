"""How long, and with how much memory, the whole graph runs at seed scale: one run, from the sources to the report.

Run: python -m bench.seed_scale

One day of 24 hours with at least 1,000,000 users, 100,000 product files, 1,000,000 orders with their items and
5,000,000 pageviews, with the default dirt, as one Dagster run of the job `hourly` in a fresh process. Generating the
data is part of it. Exits with 1 when it takes 6 minutes or more, or 4 GiB or more at its peak (Linux only).
"""

import argparse
import sys
from math import ceil

from bench.measure import judged, markdown, temporary_folder
from bench.whole_graph import measure
from dagster_lake.lake_hour import HourRange
from generators import orders, pageviews
from generators.world import World

MOST_SECONDS = 360
MOST_MEGABYTES = 4 * 1024**3 / 1_000_000
DAY = HourRange.of("2026-01-05T00", "2026-01-05T23")


def rates(wanted_orders: int, wanted_pageviews: int) -> tuple[int, int]:
    """Orders and pageviews an hour, averaged over a week, that give at least so many on ``DAY``."""
    trial = World(orders_per_hour=10_000, pageviews_per_hour=10_000)
    a_day = [sum(len(source.rows_of_hour(trial, hour)) for hour in DAY) for source in (orders, pageviews)]
    wanted = (wanted_orders, wanted_pageviews)
    by_orders, by_pageviews = (ceil(rows * 10_000 / found) for rows, found in zip(wanted, a_day, strict=True))
    return by_orders, by_pageviews


def main() -> int:
    """Runs the graph once, prints the table and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--orders", type=int, default=1_000_000, help="on the day, items follow")
    parser.add_argument("--pageviews", type=int, default=5_000_000, help="on the day, stars follow")
    wanted = parser.parse_args()
    orders_per_hour, pageviews_per_hour = rates(wanted.orders, wanted.pageviews)
    with temporary_folder() as folder:
        cost = measure(
            DAY,
            {
                "LAKE_ROOT": folder / "lake",
                "LAKE_USERS": wanted.users,
                "LAKE_VIP_USERS": wanted.users // 20,
                "LAKE_PRODUCTS": wanted.products,
                "LAKE_ORDERS_PER_HOUR": orders_per_hour,
                "LAKE_PAGEVIEWS_PER_HOUR": pageviews_per_hour,
            },
        )
    costly = sorted(cost.steps, key=lambda step: -step.seconds)
    rows = [(step.name.replace("__", "/"), step.seconds, round(step.megabytes)) for step in costly]
    print(markdown(["step", "seconds", "peak MB during it"], [*rows, ("all", cost.seconds, round(cost.megabytes))]))
    missed = []
    if cost.seconds >= MOST_SECONDS:
        missed.append(f"{cost.seconds / 60:.1f} minutes, below {MOST_SECONDS // 60} wanted")
    if cost.megabytes >= MOST_MEGABYTES:
        missed.append(f"{cost.megabytes:,.0f} MB at the peak, below {MOST_MEGABYTES:,.0f} wanted")
    return judged(missed)


if __name__ == "__main__":
    sys.exit(main())
