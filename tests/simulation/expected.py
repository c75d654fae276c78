"""What every table must hold when a story is over: computed in plain Python from the sources and what they delivered.

The rules are those of DESIGN.md, the contracts and docs/decisions.md. None of the lake's own code is used.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.simulation.delivered import Delivered, Snapshot
from tests.simulation.outside import KEYS, Outside, Row
from tests.simulation.rules import judge_row, judge_text

LOOK_BACK = timedelta(hours=24)
MOST_BAD = Decimal("0.2")
MOST_LOST = Decimal("0.2")
HISTORY = (
    *("name", "city", "street_address", "phone_number", "birth_number", "user_name", "administrative_unit"),
    *("description", "jobs", "sex", "age_band"),
)
Tables = dict[str, list[Row]]


def expected(outside: Outside, delivered: Delivered) -> Tables:
    """The rows of every table, each with the columns that follow from the data alone.

    A quarantine is told by partition and reasons, with the number of rows that have them.
    """
    tables: Tables = {}
    for hub, sent in outside.events.items():
        arrived = [(_hour(one.at), one.at, *judge_text(hub, one.body.decode()), one.body) for one in sent]
        tables |= _events(hub, arrived)
    for table, versions in delivered.versions.items():
        tables |= _changes(table, versions, outside.rows(table))
    for data_set, snapshots in delivered.snapshots.items():
        tables |= _snapshots(data_set, snapshots)
    return tables | _gold(tables)


# ---- events


def _events(hub: str, arrived: list[tuple[str, datetime, Row, tuple[str, ...], bytes]]) -> Tables:
    """Each event once: a copy is left out when the valid one before it came at most 24 lake hours earlier.

    It is a conflict when it says something else than the earliest copy of the 24 hours before.
    """
    copies: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    silver, quarantine = [], _Quarantine("_lake_hour")
    for hour, at, values, reasons, body in sorted(arrived, key=lambda one: one[1]):
        if reasons:
            quarantine.add(hour, reasons)
            continue
        before = copies[values["event_id"]]
        near = [other for when, other in before if _start(hour) - _start(when) <= LOOK_BACK]
        if not near:
            silver.append({**values, "_enqueued_time": at, "_lake_hour": hour})
        elif json.loads(body) != json.loads(near[0]):
            quarantine.conflict(hour, ("event_id",))
        before.append((hour, body))
    return {f"silver/{hub}": silver, f"quarantine/{hub}": quarantine.rows()}


# ---- the database


def _changes(table: str, versions: Iterable[Row], present: list[Row]) -> Tables:
    """Every version of a row, and of each key the newest valid one; what is gone from the source is marked."""
    quarantine = _Quarantine("_lake_hour")
    held: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    newest_bad: dict[tuple[Any, ...], datetime] = {}
    for row in versions:
        values, reasons = judge_row(table, row)
        key, hour = _key(table, row), _hour(row["updated_at"])
        if reasons:
            quarantine.add(hour, reasons)
            newest_bad[key] = max(row["updated_at"], newest_bad.get(key, row["updated_at"]))
        else:
            held[key, row["updated_at"]].append({**values, "_lake_hour": hour})
    for copies in held.values():
        for copy in copies[:-1]:
            if copy != copies[-1]:
                quarantine.conflict(copy["_lake_hour"], KEYS[table])
    newest: dict[tuple[Any, ...], Row] = {}
    for (key, stamp), copies in sorted(held.items(), key=lambda item: item[0][1]):
        bad = key in newest_bad and newest_bad[key] > stamp
        newest[key] = {**copies[-1], "_newer_in_quarantine": bad}
    alive = {_key(table, row) for row in present}
    rows = [{**row, "_is_deleted": key not in alive} for key, row in newest.items()]
    changes = {f"silver/{table}_changes": [copies[-1] for copies in held.values()], f"silver/{table}": rows}
    return {**changes, f"quarantine/{table}": quarantine.rows()}


def _key(table: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEYS[table])


# ---- exports


def _snapshots(data_set: str, snapshots: list[Snapshot]) -> Tables:
    """The exports that were taken, and of each key the newest valid row; what the newest export lacks is marked."""
    every, quarantine = [], _Quarantine("_snapshot")
    taken: list[tuple[str, dict[int, Row], set[int]]] = []
    for snapshot in snapshots:
        judged = [judge_text(data_set, line.text, date.fromisoformat(snapshot.key[:10])) for line in snapshot.lines]
        valid = {values["id"]: values for values, reasons in judged if not reasons}
        named = {*valid, *(values["id"] for values, _ in judged if values.get("id") is not None)}
        held = taken[-1][1] if taken else {}
        lost = len(held.keys() - valid.keys())
        bad = sum(bool(reasons) for _, reasons in judged)
        shrunken = not snapshot.accepted and lost > MOST_LOST * len(held)
        refused = shrunken or _is_withheld(len(judged), bad)
        for _, reasons in judged:
            if reasons:
                quarantine.add(snapshot.key, reasons)
        if not refused:
            taken.append((snapshot.key, valid, named))
            every += [{**row, "_snapshot": snapshot.key} for row in valid.values()]
    newest: dict[int, Row] = {}
    for key, valid, named in taken:
        for id, row in newest.items():
            if id not in named and row["_missing_since"] is None:
                row["_missing_since"] = key
            elif id in named:
                row |= {"_missing_since": None, "_newer_in_quarantine": id not in valid}
        clean = {"_snapshot": key, "_missing_since": None, "_newer_in_quarantine": False}
        newest |= {id: {**row, **clean} for id, row in valid.items()}
    tables = {f"silver/{data_set}_snapshots": every, f"silver/{data_set}": list(newest.values())}
    tables[f"quarantine/{data_set}"] = quarantine.rows()
    if data_set == "users":
        tables["gold/users_history"] = _history(taken)
    return tables


def _is_withheld(rows: int, bad: int) -> bool:
    """Whether nothing of a load is valid, or of 20 rows and more too little."""
    return 0 < bad == rows or (rows >= 20 and bad > MOST_BAD * rows)


def _history(taken: list[tuple[str, dict[int, Row], set[int]]]) -> list[Row]:
    """Every state of a user: from the first export that holds it to the first that does not. Whom an export holds in
    quarantine alone is as he was when he was valid last."""
    states: list[Row] = []
    current: dict[int, Row] = {}
    last_valid: dict[int, Row] = {}
    versions: Counter[int] = Counter()
    for key, valid, named in taken:
        instant = datetime.strptime(key, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)
        last_valid |= valid
        there = {id: last_valid[id] for id in named if id in last_valid}
        for id in list(current):
            if id not in there or any(there[id][name] != current[id][name] for name in HISTORY):
                current.pop(id).update({"valid_to": instant, "is_current": False})
        for id, row in there.items():
            if id not in current:
                versions[id] += 1
                state = {"id": id, "version": versions[id], **{name: row[name] for name in HISTORY}}
                current[id] = {**state, "valid_from": instant, "valid_to": None, "is_current": True}
                states.append(current[id])
    return states


# ---- gold


def _gold(tables: Tables) -> Tables:
    orders = {row["order_id"]: row for row in tables["silver/orders"] if not row["_is_deleted"]}
    items = [row for row in tables["silver/order_items"] if not row["_is_deleted"]]
    pieces: Counter[int] = Counter()
    for item in items:
        pieces[item["order_id"]] += item["quantity"]
    hourly = _engagement(tables, orders, pieces)
    daily = _summed(hourly, lambda row: {"_lake_day": row["_lake_hour"][:10], "user_id": row["user_id"]})
    return {
        "gold/engagement_hourly": hourly,
        "gold/engagement_daily": daily,
        "gold/engagements": _engagements(tables, daily),
        "gold/daily_sales": _daily_sales(orders, pieces),
        "gold/product_performance": _product_performance(tables["silver/products"], items),
    }


def _engagement(tables: Tables, orders: dict[int, Row], pieces: Counter[int]) -> list[Row]:
    """What each user did in each hour; an order counts in the hour of its newest valid version."""
    partials = []
    zeros = {"pageviews": 0, "stars_count": 0, "stars_sum": 0, "orders": 0, "orders_value": Decimal(0), "items": 0}
    for row in tables["silver/pageviews"]:
        partials.append({**row, **zeros, "pageviews": 1})
    for row in tables["silver/stars"]:
        partials.append({**row, **zeros, "stars_count": 1, "stars_sum": row["stars"]})
    for id, row in orders.items():
        counted = {"orders": 1, "orders_value": row["order_value"], "items": pieces[id]}
        partials.append({**row, **zeros, **counted})
    return _summed(partials, lambda row: {"_lake_hour": row["_lake_hour"], "user_id": row["user_id"]})


def _summed(rows: Iterable[Row], group: Any) -> list[Row]:
    sums: dict[str, Row] = {}
    measures = ("pageviews", "stars_count", "stars_sum", "orders", "orders_value", "items")
    for row in rows:
        of = group(row)
        total = sums.setdefault(json.dumps(of), {**of, **dict.fromkeys(measures, 0)})
        for name in measures:
            total[name] += row[name]
    return list(sums.values())


def _engagements(tables: Tables, daily: list[Row]) -> list[Row]:
    vips = {row["id"] for row in tables["silver/vip_users"] if row["_missing_since"] is None}
    totals = {row["user_id"]: row for row in _summed(daily, lambda row: {"user_id": row["user_id"]})}
    nothing = {"pageviews": 0, "stars_count": 0, "stars_sum": 0, "orders": 0, "orders_value": Decimal(0), "items": 0}
    rows = []
    for user in tables["silver/users"]:
        total = totals.get(user["id"], nothing)
        rows.append(
            {
                **{name: user[name] for name in ("id", "user_name", "city")},
                "pageviews": total["pageviews"],
                "orders": total["orders"],
                "total_orders_value": total["orders_value"],
                "avg_order_value": _mean(total["orders_value"], total["orders"]),
                "total_items": total["items"],
                "avg_stars": total["stars_sum"] / total["stars_count"] if total["stars_count"] else None,
                "is_vip": user["id"] in vips,
            }
        )
    return rows


def _daily_sales(orders: dict[int, Row], pieces: Counter[int]) -> list[Row]:
    days: dict[date, list[Row]] = defaultdict(list)
    for row in orders.values():
        days[row["order_date"].date()].append(row)
    return [
        {
            "day": day,
            "orders": len(rows),
            "buyers": len({row["user_id"] for row in rows}),
            "items": sum(pieces[row["order_id"]] for row in rows),
            "revenue": sum(row["order_value"] for row in rows),
            "avg_order_value": _mean(sum(row["order_value"] for row in rows), len(rows)),
        }
        for day, rows in days.items()
    ]


def _product_performance(products: list[Row], items: list[Row]) -> list[Row]:
    known = {row["id"]: row for row in products}
    sold: dict[int, list[Row]] = defaultdict(list)
    for item in items:
        sold[item["product_id"]].append(item)
    return [
        {
            "product_id": id,
            "name": known[id]["name"] if id in known else "unknown",
            "category": known[id]["category"] if id in known else "unknown",
            "orders": len({item["order_id"] for item in sold[id]}),
            "quantity": sum(item["quantity"] for item in sold[id]),
            "revenue": sum((item["quantity"] * item["unit_price"] for item in sold[id]), Decimal(0)),
        }
        for id in sorted({*known, *sold})
    ]


def _mean(total: Any, count: int) -> Decimal | None:
    """Rounded half up to the cent."""
    if not count:
        return None
    return Decimal((int(total * 100) * 2 + count) // (count * 2)).scaleb(-2)


# ---- what the rules have in common


class _Quarantine:
    """Rows kept out, counted by partition and reasons."""

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self.counted: Counter[tuple[str, tuple[str, ...]]] = Counter()

    def add(self, partition: str, reasons: tuple[str, ...]) -> None:
        self.counted[partition, reasons] += 1

    def conflict(self, partition: str, keys: tuple[str, ...]) -> None:
        """A copy that lost to another one with another payload."""
        self.add(partition, (f"{'+'.join(keys)}:conflict",))

    def rows(self) -> list[Row]:
        return [{self.partition: p, "_reasons": list(r), "rows": n} for (p, r), n in self.counted.items()]


def _hour(at: datetime) -> str:
    """The lake hour (start, end] of an instant, named by its start."""
    return f"{at - timedelta(microseconds=1):%Y-%m-%dT%H}"


def _start(hour: str) -> datetime:
    return datetime.strptime(hour, "%Y-%m-%dT%H")
