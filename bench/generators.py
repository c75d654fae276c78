"""How fast the generators are, beside a plain loop over Faker that writes the same fields to the same kind of files.

Run: python -m bench.generators

Both sides run in this process, on one core, and write to a memory file system where there is one: orders and items as
Parquet, products one JSON file each, the others JSON lines. The best of three runs counts; Faker makes fewer rows.
Memory is the peak of a fresh process, at one and at ten times the rows (read from /proc: Linux only).
Exits with 1 when a ratio is below its target or memory grows with the rows.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from faker import Faker
from rich.console import Console
from rich.table import Table

from generators import order_items, orders
from generators.dirt import Dirt
from generators.export import Format, export
from generators.world import World

Row = dict[str, Any]

MEMORY_GROWTH = 1.25
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Race:
    """One data set: how many rows each side makes, how Faker makes one, and the ratio promised."""

    data_set: str
    ours: int
    fakers: int
    faker_write: Callable[[Faker, int, Path], None]
    target: float
    form: Format = Format.JSONL


def user(fake: Faker, number: int) -> Row:
    """A user by Faker."""
    return {
        "id": number,
        "name": fake.name(),
        "city": fake.city(),
        "street_address": fake.street_address(),
        "phone_number": fake.phone_number(),
        "birth_number": fake.birth_number(),
        "user_name": fake.user_name(),
        "administrative_unit": fake.administrative_unit(),
        "description": fake.sentence() + " " + fake.sentence(),
        "jobs": [fake.job() for _ in range(3)],
    }


def product(fake: Faker, number: int) -> Row:
    """A product by Faker."""
    return {
        "id": number,
        "name": fake.word(),
        "description": fake.sentence(),
        "category": fake.word(),
        "price": fake.random_int(990, 500_990) / 100,
        "pages": [fake.uri_path() for _ in range(3)],
    }


def pageview(fake: Faker, number: int) -> Row:
    """A pageview by Faker."""
    slow = random.random() < 0.01
    return {
        "event_id": fake.uuid4(),
        "user_id": fake.random_int(0, 999),
        "http_method": fake.http_method(),
        "uri": fake.uri_path(),
        "client_ip": fake.ipv4(),
        "user_agent": fake.user_agent(),
        "latency": fake.random_int(500, 5_000) if slow else max(1, round(random.gauss(200, 50))),
        "event_time": (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat(),
    }


def order_with_items(fake: Faker, number: int, prices: list[Decimal]) -> tuple[Row, list[Row]]:
    """An order with its items by Faker."""
    when = fake.date_time_between(datetime(2026, 1, 1), datetime(2026, 2, 1), tzinfo=UTC)
    items: list[Row] = []
    for row_id in range(1, fake.random_int(1, 10) + 1):
        product_id = fake.random_int(0, len(prices) - 1)
        items.append(
            {
                "order_id": number,
                "row_id": row_id,
                "product_id": product_id,
                "quantity": fake.random_int(1, 5),
                "unit_price": prices[product_id],
                "updated_at": when,
            }
        )
    value = sum((item["quantity"] * item["unit_price"] for item in items), Decimal(0))
    user_id = fake.random_int(0, 999)
    head = {"order_id": number, "user_id": user_id, "order_date": when, "order_value": value, "updated_at": when}
    return head, items


def write_each(make: Callable[[Faker, int], Row]) -> Callable[[Faker, int, Path], None]:
    """A Faker loop that writes JSON lines."""

    def write(fake: Faker, rows: int, out: Path) -> None:
        with out.open("w") as file:
            for number in range(rows):
                file.write(json.dumps(make(fake, number), ensure_ascii=False) + "\n")

    return write


def write_products(fake: Faker, rows: int, out: Path) -> None:
    """A Faker loop that writes one file per product."""
    out.mkdir()
    for number in range(rows):
        (out / f"{number}.json").write_text(json.dumps(product(fake, number), ensure_ascii=False))


def write_orders(fake: Faker, rows: int, out: Path) -> None:
    """A Faker loop that writes orders and, beside them, their items."""
    prices = [Decimal(fake.random_int(990, 500_990)) / 100 for _ in range(200)]
    heads, lines = [], []
    for number in range(rows):
        head, items = order_with_items(fake, number, prices)
        heads.append(head)
        lines.extend(items)
    pq.write_table(pa.Table.from_pylist(heads, orders.SCHEMA), out)
    pq.write_table(pa.Table.from_pylist(lines, order_items.SCHEMA), out.with_name("faker_items"))


RACES = (
    Race("users", 150_000, 2_000, write_each(user), 50),
    Race("pageviews", 400_000, 6_000, write_each(pageview), 50),
    Race("orders", 100_000, 4_000, write_orders, 20, Format.PARQUET),
    Race("products", 15_000, 1_500, write_products, 5, Format.FILES),
)


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(rows: int, make: Callable[[int, Path], object]) -> float:
    """Rows a second, the best of three runs after a small one to warm up."""

    def runs() -> Iterator[float]:
        for count in (100, rows, rows, rows):
            with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
                out = Path(folder) / "out"
                yield count / seconds(lambda: make(count, out))  # noqa: B023

    return max(list(runs())[1:])


def race(entry: Race) -> tuple[float, float]:
    """Rows a second: ours and Faker's."""
    fake = Faker("cs_CZ")
    ours = best(entry.ours, lambda rows, out: write(entry.data_set, entry.form, rows, out))
    return ours, best(entry.fakers, lambda rows, out: entry.faker_write(fake, rows, out))


def write(data_set: str, form: Format, rows: int, out: Path) -> int:
    """Write our rows."""
    world = World(vip_users=0, pageviews_per_hour=100_000, orders_per_hour=10_000)
    return export(world, data_set, range(rows), out, form, Dirt.none(), lambda _: None)


def peak_megabytes(entry: Race, rows: int) -> float:
    """The peak memory of a fresh process that writes so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        program = (
            "import pathlib, sys; from bench.generators import Format, write;"
            "write(sys.argv[1], Format(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4], 'out'));"
            "print(pathlib.Path('/proc/self/status').read_text())"
        )
        command = [sys.executable, "-c", program, entry.data_set, entry.form, str(rows), folder]
        status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(status.split("VmHWM:")[1].split()[0]) / 1_024


def main() -> int:
    """Race, print the table and judge."""
    pa.set_cpu_count(1)
    table = Table("data set", "ours rows/s", "Faker rows/s", "ratio", "target", "rows", "MB", "10x rows", "MB")
    met = True
    for entry in RACES:
        ours, fakers = race(entry)
        rows = entry.ours if entry.form is not Format.FILES else entry.ours // 10
        small, large = peak_megabytes(entry, rows), peak_megabytes(entry, rows * 10)
        met = met and ours / fakers >= entry.target and large < small * MEMORY_GROWTH
        speed = (f"{ours:,.0f}", f"{fakers:,.0f}", f"{ours / fakers:,.0f}x", f"{entry.target:.0f}x")
        memory = (f"{rows:,}", f"{small:.0f}", f"{rows * 10:,}", f"{large:.0f}")
        table.add_row(entry.data_set, *speed, *memory)
    Console(width=110).print(table)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
