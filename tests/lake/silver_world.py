"""A small shop's silver, written as Delta, and the engagements it must give, computed naively in Python."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, hour_key, parse_hour
from dagster_lake.storage.delta.write import overwrite, pin, replace_partitions
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import newest_table, silver_table

FIRST = datetime(2026, 1, 5, 20, tzinfo=UTC)  # four hours in, the day changes
LAST = datetime(2026, 1, 7, tzinfo=UTC)
Row = dict[str, Any]


def hour(number: int) -> str:
    """The key of the world's hour ``number``, from 0."""
    return hour_key(FIRST + number * HOUR)


def within(key: str, minutes: int = 30) -> datetime:
    """An instant inside the hour ``key``."""
    return parse_hour(key) + timedelta(minutes=minutes)


@dataclass
class World:
    """Silver as rows; ``write`` makes tables of it."""

    users: list[Row] = field(default_factory=list)
    vip_users: list[Row] = field(default_factory=list)
    products: list[Row] = field(default_factory=list)
    pageviews: list[Row] = field(default_factory=list)
    stars: list[Row] = field(default_factory=list)
    orders_changes: list[Row] = field(default_factory=list)
    order_items_changes: list[Row] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    """The orders that the source deleted, with their items."""

    def user(self, id: int, **attributes: Any) -> None:
        self.users.append({"id": id, "user_name": f"user{id}", "city": "Brno", **attributes})

    def view(self, key: str, user_id: int) -> None:
        number = len(self.pageviews)
        self.pageviews.append({"event_id": f"view{number}", "user_id": user_id, "_lake_hour": key})

    def rate(self, key: str, user_id: int, stars: int) -> None:
        self.stars.append({"event_id": f"star{len(self.stars)}", "user_id": user_id, "stars": stars, "_lake_hour": key})

    def order(self, key: str, order_id: int, user_id: int, value: str, items: Sequence[int] = ()) -> None:
        """A new version of an order, with new versions of its first items, one for each quantity in ``items``."""
        stamp = {"updated_at": within(key), "_lake_hour": key}
        self.orders_changes.append(
            {"order_id": order_id, "user_id": user_id, "order_value": Decimal(value), "order_date": FIRST, **stamp}
        )
        for row_id, quantity in enumerate(items, 1):
            self.item(key, order_id, row_id, quantity)

    def item(self, key: str, order_id: int, row_id: int, quantity: int, product_id: int = 1) -> None:
        stamp = {"updated_at": within(key), "_lake_hour": key}
        row = {"order_id": order_id, "row_id": row_id, "product_id": product_id, "quantity": quantity}
        self.order_items_changes.append({**row, "unit_price": Decimal("2.50"), **stamp})

    @property
    def orders(self) -> list[Row]:
        return self._with_deletions(_newest(self.orders_changes, "order_id"))

    @property
    def order_items(self) -> list[Row]:
        return self._with_deletions(_newest(self.order_items_changes, "order_id", "row_id"))

    def _with_deletions(self, rows: list[Row]) -> list[Row]:
        return [{**row, "_deleted_at": LAST if row["order_id"] in self.deleted else None} for row in rows]

    def write(self, lake: Lake) -> None:
        """Writes every table that has rows; an hourly one hour by hour, so that it has a file an hour."""
        for name, contract in contracts().items():
            if contract.changing:
                write_hours(lake, name, getattr(self, f"{name}_changes"), changes=True)
                write_hours(lake, name, getattr(self, name))
            elif contract.cadence == "hourly":
                write_hours(lake, name, getattr(self, name))
            elif rows := getattr(self, name):
                spec = newest_table(lake, contract)
                data = filled(rows, spec.schema)
                overwrite(spec, data.to_reader, {})

    def engagements(self) -> list[Row]:
        """What gold.engagements must hold."""
        vips = {row["id"] for row in self.vip_users if row.get("_missing_since") is None}
        items = defaultdict(int)
        for row in self.order_items:
            items[row["order_id"]] += row["quantity"]
        found = []
        for user in sorted(self.users, key=lambda row: row["id"]):
            id = user["id"]
            orders = [row for row in self.orders if row["user_id"] == id and not row["_deleted_at"]]
            stars = [row["stars"] for row in self.stars if row["user_id"] == id]
            value = sum((row["order_value"] for row in orders), Decimal("0.00"))
            mean = (value / len(orders)).quantize(Decimal("0.01"), "ROUND_HALF_UP") if orders else None
            found.append(
                {
                    "id": id,
                    "user_name": user["user_name"],
                    "city": user["city"],
                    "pageviews": sum(row["user_id"] == id for row in self.pageviews),
                    "orders": len(orders),
                    "total_orders_value": value,
                    "avg_order_value": mean,
                    "total_items": sum(items[row["order_id"]] for row in orders),
                    "avg_stars": sum(stars) / len(stars) if stars else None,
                    "is_vip": id in vips,
                }
            )
        return found


def random_world(seed: int, hours: int = 6, users: int = 8) -> World:
    """A world with orders updated in later hours, some by another user, and items updated without their order."""
    draw = random.Random(seed)
    world = World()
    for id in range(users):
        world.user(id)
    world.vip_users = [{"id": 1}, {"id": 2, "_missing_since": "2026-01-05T000000Z"}]
    world.products = [{"id": 1, "name": "Lamp", "price": Decimal("2.50")}]
    for number in range(hours):
        for _ in range(draw.randrange(12)):
            world.view(hour(number), draw.randrange(users - 1))
        for _ in range(draw.randrange(4)):
            world.rate(hour(number), draw.randrange(users - 1), draw.randint(1, 5))
        for place in range(draw.randrange(4)):
            value = f"{draw.randrange(0, 100_000, 25) / 100:.2f}"
            quantities = [draw.randint(1, 4) for _ in range(draw.randint(0, 3))]
            world.order(hour(number), number * 10 + place, draw.randrange(users - 1), value, quantities)
        for row in draw.sample(world.orders, k=min(2, len(world.orders))) if number else []:
            if draw.random() < 0.5:
                mover = draw.randrange(users - 1)
                world.order(hour(number), row["order_id"], mover, f"{draw.randrange(1000)}.00")
            else:
                world.item(hour(number), row["order_id"], 1, draw.randint(5, 9))
    world.deleted = {row["order_id"] for row in world.orders if draw.random() < 0.2}
    return world


def write_hours(lake: Lake, name: str, rows: list[Row], *, changes: bool = False) -> None:
    """Replaces every hour of one hourly table by ``rows``."""
    contract = contracts()[name]
    spec = silver_table(lake, contract) if changes or not contract.changing else newest_table(lake, contract)
    by_hour = defaultdict(list)
    for row in rows:
        by_hour[row["_lake_hour"]].append(row)
    present = pin(spec.uri)
    for key in sorted({*by_hour, *(present.partitions() if present else [])}):
        data = filled(by_hour[key], spec.schema)
        replace_partitions(spec, [key], data.to_reader, {})


def filled(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """The rows as a table; what a row does not say is something of the right type, or null where allowed."""
    defaults: dict[str, Any] = {"int64": 0, "string": "x"}
    complete = []
    for row in rows:
        made: Row = {}
        for column in schema:
            default = None if column.nullable else defaults.get(str(column.type), FIRST)
            made[column.name] = row.get(column.name, default)
        complete.append(made)
    return pa.Table.from_pylist(complete, schema=schema)


def _newest(rows: list[Row], *keys: str) -> list[Row]:
    found = {}
    for row in sorted(rows, key=lambda row: row["updated_at"]):
        found[tuple(row[key] for key in keys)] = row
    return list(found.values())
