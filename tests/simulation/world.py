"""A simulated world: sources, the product, and the steps that are taken with them.

A step is plain data and can be left out: what it is about may be absent, and then it does nothing. That is what makes
a story of many steps short again when it has found a fault.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_lake.lake_hour import HourRange, hour_key, hour_of
from tests.simulation.damage import damaged_and_repaired
from tests.simulation.outside import Outside, Row, jsonl
from tests.simulation.product import EXPORTS, HOURLY, Product, ranges_of
from tests.simulation.trouble import Trouble

Order = Callable[[list[str]], list[str]]
"""Puts hours in another order."""


@dataclass(frozen=True)
class Step:
    """Something that happens ``at`` so many milliseconds after the world's beginning."""

    at: int
    kind: str
    what: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.what.items())
        return f"{self.kind}({told})"


@dataclass(frozen=True)
class Story:
    """A world's beginning, how many hours it lasts, and what happens, in order of time; ``hourly`` are the data sets
    that are landed by the hour, and ``streams`` says whether streams are made."""

    first: datetime
    hours: int
    steps: tuple[Step, ...]
    seed: int = 0
    hourly: tuple[str, ...] = HOURLY
    streams: bool = False

    @property
    def end(self) -> datetime:
        """When the last hour is over."""
        return self.first + timedelta(hours=self.hours)

    def __str__(self) -> str:
        streams = ", streams" if self.streams else ""
        lines = [f"{self.first:%Y-%m-%d %H:%M} + {self.hours} h, {', '.join(self.hourly)}{streams}"]
        lines += [f"  {self.first + timedelta(milliseconds=s.at):%d. %H:%M:%S.%f}  {s}" for s in self.steps]
        return "\n".join(lines)


class World:
    """Takes a story's steps, one after the other."""

    def __init__(self, folder: Path, story: Story, settings: Mapping[str, object]) -> None:
        self.story = story
        self.outside = Outside(folder / "lake")
        self.product = Product(
            folder / "lake",
            settings,
            outside=self.outside,
            now=story.first,
            hourly=story.hourly,
            streams=story.streams,
        )
        self.people: dict[int, Row | str] = {n: person(n) for n in range(8)}
        self.vips: list[Row | str] = [{"id": 1}, {"id": 2}]
        self.goods: dict[int, Row | str] = {n: product(n) for n in range(6)}
        self.names = {"users": "users.jsonl", "vip_users": "vip_users.jsonl", "products": "{:03d}.json"}
        self.bodies: dict[str, tuple[str, dict[str, Any]]] = {}
        self.quiet: set[datetime] = set()
        self._drop(*EXPORTS)

    def take(self, step: Step) -> None:
        """Takes one step at its time."""
        self.product.now = self.story.first + timedelta(milliseconds=step.at)
        action: Callable[..., None] = getattr(self, f"do_{step.kind}")
        action(**step.what)

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return self.product.now

    # ---- the shop's database

    def do_order(self, order: int, user: int | None, value: str, ago: int, days: int, items: list[list[Any]]) -> None:
        """An order is placed, or written again with its items; the commit comes ``ago`` ms after its ``updated_at``."""
        stamp = self._stamp("orders", (order,), ago)
        placed = self.now - timedelta(days=days)
        known = self.outside.row("orders", (order,))
        row = {"order_id": order, "user_id": user, "order_value": value, "updated_at": stamp}
        self.outside.put("orders", {**row, "order_date": known["order_date"] if known else placed})
        for number, product_id, quantity, price in items:
            self.do_item(order, number, product_id, quantity, price, ago)

    def do_item(self, order: int, row: int, product_id: int, quantity: int, price: str, ago: int = 0) -> None:
        """A line of an order is written, or written again."""
        stamp = self._stamp("order_items", (order, row), ago)
        item = {"order_id": order, "row_id": row, "product_id": product_id, "quantity": quantity}
        self.outside.put("order_items", {**item, "unit_price": price, "updated_at": stamp})

    def do_quiet(self, order: int, value: str) -> None:
        """An order's value is corrected without a word of it in ``updated_at``; whoever did it asks for a refresh."""
        if row := self.outside.row("orders", (order,)):
            self.outside.put("orders", {**row, "order_value": value})
            self.quiet.add(hour_of(row["updated_at"]))

    def do_delete(self, order: int, items: bool) -> None:
        """An order is deleted, with or without its items."""
        self.outside.remove("orders", (order,))
        for row in self.outside.rows("order_items") if items else []:
            if row["order_id"] == order:
                self.outside.remove("order_items", (order, row["row_id"]))

    def do_delete_item(self, order: int, row: int) -> None:
        """One line of an order is deleted."""
        self.outside.remove("order_items", (order, row))

    def _stamp(self, table: str, key: tuple[int, ...], ago: int) -> datetime:
        """When a row says it was written: never before what it said last, nor before the world began."""
        stamp = max(self.now - timedelta(milliseconds=ago), self.story.first + timedelta(milliseconds=1))
        known = self.outside.row(table, key)
        return stamp if known is None else max(stamp, known["updated_at"] + timedelta(microseconds=1))

    # ---- events

    def do_event(self, hub: str, id: str, body: dict[str, Any], lag: int, raw: str | None = None) -> None:
        """An event is sent whose own clock is ``lag`` ms behind; ``raw`` is sent in its place."""
        time = (self.now - timedelta(milliseconds=lag)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"event_id": id, **body, "event_time": time}
        self.bodies[id] = (hub, body)
        self._send(hub, id, json.dumps(body) if raw is None else raw)

    def do_again(self, id: str, change: dict[str, Any]) -> None:
        """An event is sent again as it was, or with another payload under the same id."""
        if id in self.bodies:
            hub, body = self.bodies[id]
            self._send(hub, id, json.dumps({**body, **change}))

    def _send(self, hub: str, id: str, body: str) -> None:
        self.outside.send(hub, body.encode(), self.now, id)

    # ---- exports

    def do_people(self, change: dict[int, Row | str | None], name: str | None = None) -> None:
        """An export of users, some of them changed."""
        _change(self.people, change, person)
        self._renamed("users", name)

    def do_goods(self, change: dict[int, Row | str | None], name: str | None = None) -> None:
        """An export of products, one file each."""
        _change(self.goods, change, product)
        self._renamed("products", name)

    def do_vips(self, ids: list[int | str]) -> None:
        """A new list of VIPs."""
        self.vips = [{"id": id} for id in ids]
        self._drop("vip_users")

    def do_only_people(self, ids: list[int], landed: bool, accept: bool) -> None:
        """An export that holds only some of the users, put right at once; ``landed`` when it was landed before that."""
        kept = [person for id, person in self.people.items() if id in ids]
        self.outside.export("users", {self.names["users"]: jsonl(kept)}, self.now)
        if accept:
            self.people = {id: person for id, person in self.people.items() if id in ids}
        if landed or accept:
            self.product.land_export("users")
            self.product.silver_of_export("users", accept=accept)
        self._drop("users")

    def do_touch(self, data_set: str) -> None:
        """The same export is written once more: other times, the same content."""
        self.outside.touch(data_set, self.now)

    def _renamed(self, data_set: str, name: str | None) -> None:
        self.names[data_set] = name or self.names[data_set]
        self._drop(data_set)

    def _drop(self, *data_sets: str) -> None:
        goods = {self.names["products"].format(id): _text(good) for id, good in self.goods.items()}
        exports = {
            "users": {self.names["users"]: jsonl(list(self.people.values()))},
            "vip_users": {self.names["vip_users"]: jsonl(self.vips)},
            "products": goods,
        }
        for data_set in data_sets:
            self.outside.export(data_set, exports[data_set], self.now)

    # ---- the product

    def do_tick(self, each: bool) -> None:
        """The schedule's turn: the hour that it asks for first, then the others, as ranges or ``each`` on its own."""
        self.product.run_exports(again=False)
        first, *others = self.product.asked()
        self.product.run_hours([first], gold=each)
        self._in_slices(others, lambda hours: hours)
        self.do_follow()

    def do_trouble(self, after: int, times: int, dies: bool, models: bool = False) -> None:
        """A tick whose first run meets trouble, perhaps in dbt's ``models``, and that is all of it; what is left undone
        the next ticks must find."""
        self.product.trouble = Trouble(after, times, dies, models)
        self.product.run_hours(self.product.asked()[:3], gold=models)

    def do_damage(self, data_set: str, layer: str, how: str, which: float) -> None:
        """A file of a table is damaged. The product finds it; a person types what it says, and no more than that."""
        with self.product.here():
            range_ = damaged_and_repaired(self.product.resource.lake, data_set, layer, how, which)
        if range_:
            known = self.product._made(data_set, layer)
            self.product.make(data_set, layer, [hour for hour in range_.keys if hour in known])

    def _in_slices(self, hours: Iterable[str], order: Order, *, refresh: bool = False, longest: int = 8) -> None:
        """Hours in ranges of at most ``longest``, the ranges in ``order``; gold comes later."""
        ranges = {range_.keys[0]: range_.keys for range_ in ranges_of(sorted({*hours}))}
        cut = {keys[n]: keys[n : n + longest] for keys in ranges.values() for n in range(0, len(keys), longest)}
        for first in order([*cut]):
            self.product.run_hours(cut[first], refresh=refresh, gold=False)

    def do_backfill(self, first: int, last: int) -> None:
        """A range of hours, as a person asks for it; those that have begun."""
        keys = HourRange(*(self.story.first + timedelta(hours=n) for n in (first, last))).keys
        if begun := [key for key in keys if key < hour_key(self.now)]:
            self.product.run_hours(begun)

    def do_layer(self, data_set: str, layer: str, hours: list[int]) -> None:
        """One layer of one data set, for hours in any order."""
        for number in hours:
            hour = self.story.first + timedelta(hours=number)
            if hour < self.now:
                self.product.make(data_set, layer, [hour_key(hour)])

    def do_exports(self, again: bool) -> None:
        """The sensor's turn: what lies in the landing folders, and the gold that follows from it."""
        self.product.run_exports(again=again)
        self.product.whole_gold()

    def do_reconcile(self) -> None:
        """The daily reconciliation's turn."""
        self.product.reconcile()

    def do_follow(self) -> None:
        """Automation's turn: streams and gold of the hours whose silver was made without them."""
        self.product.gold(self.product.pending)

    def settle(self, order: Order) -> None:
        """Does all that the product asks for when the story is over, hours in ``order``."""
        self.product.now = self.story.end + timedelta(minutes=5)
        self.product.run_exports(again=False)
        self._in_slices([*self.product.asked(), *self.product.never_landed(self.story.first)], order)
        self._in_slices(map(hour_key, self.quiet), order, refresh=True)
        self.product.catch_up()
        self.product.now += timedelta(hours=5)  # the hours that the reconciliation leaves to the schedule are over
        self.product.reconcile()
        # A last closing of an hour, as each hour has one: it carries on what exports alone have changed.
        self.product.run_hours([hour_key(self.story.end - timedelta(hours=1))], gold=False)
        self.do_follow()
        self.product.whole_gold()


def person(number: int) -> Row:
    """A user as the customer system exports it."""
    month = 1 + number % 12 + (50 if number % 2 else 0)
    return {
        "id": number,
        "name": f"Jana {number}",
        "city": f"Brno {number % 3}",
        "street_address": f"Dlouhá {number}",
        "phone_number": f"+420 777 000 {number:03d}",
        "birth_number": f"{(80 + number * 3) % 100:02d}{month:02d}{10 + number:02d}/{1000 + number}",
        "user_name": f"jana{number}",
        "administrative_unit": "Jihomoravský kraj",
        "description": None if number % 4 == 0 else f"customer {number}",
        "jobs": ["baker", f"clerk {number}"],
    }


def product(number: int) -> Row:
    """A product of the catalogue."""
    price = str(Decimal(995 + 100 * number) / 100)
    return {
        "id": number,
        "name": f"Lamp {number}",
        "category": "Home",
        "price": float(price),
        "pages": [f"/p/{number}"],
    }


def _change(held: dict[int, Row | str], change: Mapping[int, Row | str | None], usual: Callable[[int], Row]) -> None:
    """Each row as usual but for the fields given, or a text in its place; None takes it out."""
    for id, row in change.items():
        if row is None:
            held.pop(id, None)
        else:
            held[id] = row if isinstance(row, str) else {**usual(id), **row}


def _text(row: Row | str) -> str:
    return row if isinstance(row, str) else json.dumps(row)


START = datetime(2026, 1, 5, 18, tzinfo=UTC)
