"""What the lake must hold, computed from the generators' clean rows and their dirt manifest in plain Python.

Nothing of the lake's own SQL, masking or typing is used here.
"""

import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

from dagster_lake.lake_hour import parse_hour
from generators import order_items, orders, pageviews, products, stars, users, vip_users
from generators.dials import Dirt
from generators.dirt import manifest
from generators.events import hub_batches
from generators.world import World
from tests.lake.lakes import KEY, Row

MODULES = {m.NAME: m for m in (users, vip_users, products, orders, order_items, pageviews, stars)}
SNAPSHOTS = ("users", "vip_users", "products")
EVENTS = ("pageviews", "stars")
TABLES = ("orders", "order_items")
KEYS = {
    "users": ("id",),
    "vip_users": ("id",),
    "products": ("id",),
    "orders": ("order_id",),
    "order_items": ("order_id", "row_id"),
    "pageviews": ("event_id",),
    "stars": ("event_id",),
}
SILVER = {
    "users": "silver/users_snapshots",
    "vip_users": "silver/vip_users_snapshots",
    "products": "silver/products_snapshots",
    "orders": "silver/orders_changes",
    "order_items": "silver/order_items_changes",
    "pageviews": "silver/pageviews",
    "stars": "silver/stars",
}


def clean(world: World, data_set: str, hour: str | None) -> list[Row]:
    """The clean rows of a snapshot, or of one lake hour."""
    module: Any = MODULES[data_set]
    if hour is not None:
        return module.clean_hour(world, parse_hour(hour)).to_pylist()
    rows = {"users": world.users, "vip_users": world.vip_users, "products": world.products}[data_set]
    return pa.Table.from_batches(module.batches(world, 0, rows), module.SCHEMA).to_pylist()


def dirt_of(world: World, data_set: str, hour: str | None, dirt: Dirt) -> dict[str, list[Row]]:
    """The dirt manifest by kind."""
    found = defaultdict(list)
    for row in manifest(world, data_set, parse_hour(hour) if hour else None, dirt).to_pylist():
        found[row["kind"]].append(row)
    return found


def masked(value: str | None, how: str) -> str | None:
    """``value`` as silver may show it."""
    if value is None:
        return None
    if how == "hmac":
        return "test-1:" + hmac.new(KEY, value.encode(), "sha256").hexdigest()
    return "***" if how == "redact" else value[0] + "***"


def silver_user(user: Row, on: date) -> Row:
    """A clean user as silver must hold it."""
    born, sex = birthday_and_sex(user["birth_number"])
    age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return {
        **user,
        "name": masked(user["name"], "partial"),
        "street_address": masked(user["street_address"], "redact"),
        "phone_number": masked(user["phone_number"], "hmac"),
        "birth_number": masked(user["birth_number"], "hmac"),
        "sex": sex,
        "age_band": "child" if age < 13 else "teenager" if age < 18 else "adult",
    }


def birthday_and_sex(birth_number: str) -> tuple[date, str]:
    """What a Czech birth number says, by the law's own words."""
    year, month, day = (int(birth_number[i : i + 2]) for i in (0, 2, 4))
    ten_digits = len(birth_number.replace("/", "")) == 10
    sex = "male"
    if month > 50:
        sex, month = "female", month - 50
    if month > 20:
        month -= 20
    return date((1900 if not ten_digits or year >= 54 else 2000) + year, month, day), sex


def check_silver(world: World, data_set: str, hour: str | None, dirt: Dirt, rows: Iterable[Row], epoch: date) -> None:
    """Asserts that silver's rows are the clean ones value by value, but for what the manifest says was altered."""
    noted = dirt_of(world, data_set, hour, dirt)
    altered = {kind: {row["key"] for row in noted[kind]} for kind in ("late", "empty_client_ip", "orphan")}
    found = {_key(data_set, row): row for row in rows}
    wanted = {_key(data_set, row): row for row in clean(world, data_set, hour)}
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        got, expected = {name: found[key][name] for name in row}, dict(row)
        if data_set == "users":
            expected = silver_user(row, epoch)
            got = {name: found[key][name] for name in expected}
        if data_set == "pageviews":
            expected["client_ip"] = masked(None if key in altered["empty_client_ip"] else row["client_ip"], "hmac")
        if key in altered["late"]:
            late = found[key]["_enqueued_time"] - got.pop("event_time")
            expected.pop("event_time")
            assert timedelta(minutes=5) <= late <= timedelta(hours=6)
        if key in altered["orphan"]:
            assert got.pop("product_id") >= world.products
            expected.pop("product_id")
        assert got == expected


def quarantine_wanted(world: World, data_set: str, hour: str | None, dirt: Dirt) -> Counter[Any]:
    """(key, reasons) of every quarantined row, as often as the manifest lists it."""
    noted = dirt_of(world, data_set, hour, dirt)
    rows = [*noted["malformed"], *noted["invalid_value"]]
    assert all(row["effect"] == "quarantined" for row in rows)
    return Counter((row["key"], tuple(row["reasons"])) for row in rows)


def quarantine_found(data_set: str, rows: Iterable[Row]) -> Counter[Any]:
    """The same of the lake's quarantine."""
    return Counter((row[KEYS[data_set][0]], tuple(row["_reasons"])) for row in rows)


def malformed_lines(world: World, data_set: str, hour: str, dirt: Dirt) -> Counter[str]:
    """The event bodies that Python takes for no JSON object."""
    bodies = [b for batch in hub_batches(world, data_set, parse_hour(hour), dirt) for b in batch["body"].to_pylist()]
    return Counter(body.decode() for body in bodies if not _is_object(body))


def rescued_wanted(world: World, data_set: str, hour: str | None, dirt: Dirt, before: list[str]) -> Counter[str]:
    """Keys of bronze rows with an unknown field; a copy has what its original had, here or in the hours ``before``."""
    noted = dirt_of(world, data_set, hour, dirt)
    unknown = [row["key"] for row in noted["unknown_field"]]
    everywhere = {*unknown}
    for earlier in before:
        everywhere |= {row["key"] for row in dirt_of(world, data_set, earlier, dirt)["unknown_field"]}
    return Counter(unknown) + Counter(row["key"] for row in noted["duplicate"] if row["key"] in everywhere)


def engagements(world: World, keys: list[str]) -> list[Row]:
    """Every user's numbers over the clean rows of some hours."""
    views, ratings, bought, items = Counter[int](), defaultdict(list), defaultdict(list), Counter[int]()
    for hour in keys:
        views.update(row["user_id"] for row in clean(world, "pageviews", hour))
        for row in clean(world, "stars", hour):
            ratings[row["user_id"]].append(row["stars"])
        for row in clean(world, "orders", hour):
            bought[row["user_id"]].append(row)
        for row in clean(world, "order_items", hour):
            items[row["order_id"]] += row["quantity"]
    vips = {row["id"] for row in clean(world, "vip_users", None)}
    found = []
    for user in clean(world, "users", None):
        id = user["id"]
        value = sum((row["order_value"] for row in bought[id]), Decimal("0.00"))
        mean = (value / len(bought[id])).quantize(Decimal("0.01"), ROUND_HALF_UP) if bought[id] else None
        found.append(
            {
                "id": id,
                "user_name": user["user_name"],
                "city": user["city"],
                "pageviews": views[id],
                "orders": len(bought[id]),
                "total_orders_value": value,
                "avg_order_value": mean,
                "total_items": sum(items[row["order_id"]] for row in bought[id]),
                "avg_stars": sum(ratings[id]) / len(ratings[id]) if ratings[id] else None,
                "is_vip": id in vips,
            }
        )
    return found


def enqueued_within(rows: Iterable[Row], hour: str) -> bool:
    """Whether every row arrived in (start, end] of the hour it stands in."""
    start = parse_hour(hour)
    return all(start < row["_enqueued_time"].astimezone(UTC) <= start + timedelta(hours=1) for row in rows)


def snapshot_day(key: str) -> date:
    """The day of a snapshot's key."""
    return datetime.strptime(key, "%Y-%m-%dT%H%M%SZ").date()


def _key(data_set: str, row: Row) -> str:
    return "-".join(str(row[name]) for name in KEYS[data_set])


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
