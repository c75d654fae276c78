"""Stories at random: what happens to the sources, and when the product is asked to do what. A seed gives one story."""

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.damage import DAMAGES
from tests.simulation.product import HOURLY
from tests.simulation.world import START, Step, Story

HOUR_MS = 3_600_000
TABLES, EVENTS = HOURLY[:2], HOURLY[2:]
LENGTHS = (6, 6, 6, 8, 8, 10, 26, 28)
"""How many hours a world lasts; a day and more only where the look-back of events has to show."""
Kinds = dict[Callable[[int], None], int]
"""Makers of steps, and how likely each is."""


def story(seed: int, *, troubled: bool = False) -> Story:
    """The story of a seed; ``troubled``, the same one with runs that fail or die."""
    teller = _Teller(random.Random(seed), seed)
    if troubled:
        teller.trouble(random.Random(-seed - 1))
    return teller.story()


class _Teller:
    """Makes up steps; remembers which ids it has used, so that later steps are about something."""

    def __init__(self, rng: random.Random, seed: int) -> None:
        self.rng = rng
        self.seed = seed
        self.hours = rng.choice(LENGTHS)
        self.orders = 0
        self.events: list[tuple[str, int]] = []
        self.steps: list[Step] = []
        self.hourly = rng.choice([TABLES, TABLES, TABLES, EVENTS, EVENTS[:1], EVENTS[1:], EVENTS[1:], HOURLY])
        self.streams = self.hourly != TABLES and rng.random() < 0.2

    def story(self) -> Story:
        database: Kinds = {self.order: 16, self.order_again: 10, self.item_again: 5, self.quiet: 1, self.delete: 5}
        events: Kinds = {self.event: 26, self.event_again: 12}
        exports: Kinds = {self.users: 7, self.products: 4, self.vips: 2, self.shrunken: 1, self.touch: 1}
        many = self.rng.choice([1, 2])
        if "orders" in self.hourly:
            self.happen(database, 20 * many)
        if self.hourly != TABLES:
            self.happen(events, 20 * many)
        self.happen(exports, self.rng.choice([0, 3, 6, 9]))
        asked: Kinds = {self.backfill: 3, self.layers: 6, self.exports: 2, self.follow: 2}
        if "orders" in self.hourly:
            asked[self.reconcile] = 2
        self.happen(asked, self.rng.choice([1, 1, 2, 3]))
        # The sources alone keep no history: what is landed in between is what later versions have to replace.
        self.happen({self.landing: 1}, self.rng.choice([2, 4]) if "orders" in self.hourly else 1)
        for hour in self.rng.sample(range(1, self.hours), min(self.hours - 1, self.rng.choice([0, 1, 2, 2]))):
            self.add(hour * HOUR_MS + 5 * 60_000, "tick", each=self.rng.random() < 0.3)
        steps = sorted(self.steps, key=lambda step: step.at)
        # No two at one instant: what comes first is then no question.
        apart = [Step(step.at + 7 * place, step.kind, step.what) for place, step in enumerate(steps)]
        return Story(START, self.hours, tuple(apart), self.seed, self.hourly, self.streams)

    def happen(self, kinds: Kinds, times: int) -> None:
        """Makes up so many steps of these kinds, which have weights."""
        for make in self.rng.choices(list(kinds), list(kinds.values()), k=times):
            make(self.time())

    def time(self) -> int:
        """Any instant of the story; sometimes near or at the end of an hour."""
        at = self.rng.randint(1_000, self.hours * HOUR_MS - 1_000)
        if self.rng.random() < 0.1:
            at = at // HOUR_MS * HOUR_MS + self.rng.choice([0, 1, -1])
        return max(at, 1_000)

    def add(self, at: int, kind: str, **what: Any) -> None:
        if at < self.hours * HOUR_MS - 1_000:  # what story() puts between two steps must not carry one past the end
            self.steps.append(Step(at, kind, what))

    # ---- the database

    def order(self, at: int) -> None:
        self.orders += 1
        self.write_order(at, self.orders)

    def order_again(self, at: int) -> None:
        self.write_order(at, self.known_order())

    def write_order(self, at: int, order: int) -> None:
        lines = self.rng.sample(range(1, 4), self.rng.choice([0, 1, 1, 2]))
        items = [[line, self.rng.randint(0, 7), self.rng.randint(1, 5), self.price()] for line in lines]
        bad = self.rng.random()
        value = "-1.00" if bad < 0.06 else self.price()
        user = None if bad > 0.96 else self.rng.randint(0, 9)
        ago = self.rng.choice([0, 0, 0, 90 * 60_000, 5 * HOUR_MS, self.rng.randint(0, 8 * HOUR_MS)])
        days = self.rng.choice([0, 0, 1])
        self.add(at, "order", order=order, user=user, value=value, ago=ago, days=days, items=items)

    def item_again(self, at: int) -> None:
        quantity = self.rng.choice([1, 2, 3, 4, 0])
        what = {"order": self.known_order(), "row": self.rng.randint(1, 3), "product_id": self.rng.randint(0, 7)}
        self.add(at, "item", **what, quantity=quantity, price=self.price())

    def quiet(self, at: int) -> None:
        self.add(at, "quiet", order=self.known_order(), value=self.price())

    def delete(self, at: int) -> None:
        if self.rng.random() < 0.3:
            self.add(at, "delete_item", order=self.known_order(), row=self.rng.randint(1, 3))
        else:
            self.add(at, "delete", order=self.known_order(), items=self.rng.random() < 0.6)

    def known_order(self) -> int:
        return self.rng.randint(1, max(1, self.orders))

    def price(self) -> str:
        return f"{self.rng.randint(0, 20_000) / 100:.2f}"

    # ---- events

    def event(self, at: int) -> None:
        id = f"e{len(self.events)}"
        hub = self.rng.choice([hub for hub in EVENTS if hub in self.hourly])
        self.events.append((id, at))
        body = self.view() if hub == "pageviews" else {"user_id": self.user(), "stars": self.rng.randint(1, 5)}
        raw, odd = None, self.rng.random()
        if odd < 0.04:
            raw = self.rng.choice(['{"event_id": "e1", ', "not JSON", "[1, 2]", '"text"'])
        elif odd < 0.10:
            body |= self.rng.choice([{"user_id": None}, {"user_id": "x"}, {"stars": 9, "latency": -5}])
        elif odd < 0.16:
            body |= {"campaign": "spring", "referrer": {"page": "/"}}
        lag = self.rng.choice([0, 500, 30_000, 400_000])
        self.add(at, "event", hub=hub, id=id, body=body, lag=lag, **({"raw": raw} if raw else {}))
        if self.hours > 24 and self.rng.random() < 0.4:
            self.send_again(at + 24 * HOUR_MS + self.rng.randint(-HOUR_MS, HOUR_MS), id)

    def view(self) -> dict[str, Any]:
        return {
            "user_id": self.user(),
            "http_method": self.rng.choice(["GET", "GET", "POST", "BREW"]),
            "uri": "/p/1?q=ž",
            "client_ip": self.rng.choice(["10.0.0.1", "10.0.0.2", "", None]),
            "user_agent": "Mozilla",
            "latency": self.rng.choice([20, 100, 2_001, 60_000, 60_001]),
        }

    def event_again(self, at: int) -> None:
        if self.events:
            id, first = self.rng.choice(self.events)
            later = first + self.rng.choice([60_000, HOUR_MS, self.rng.randint(0, 12 * HOUR_MS)])
            self.send_again(later if self.rng.random() < 0.7 else at, id)

    def send_again(self, at: int, id: str) -> None:
        change = {} if self.rng.random() < 0.7 else {"user_id": self.user()}
        self.add(at, "again", id=id, change=change)

    def user(self) -> int:
        return self.rng.randint(0, 9)

    # ---- exports

    def users(self, at: int) -> None:
        change: dict[int, Any] = {}
        for id in self.rng.sample(range(10), self.rng.choice([1, 1, 2])):
            good: list[Any] = [
                {},
                None,
                {"city": f"Praha {self.rng.randint(1, 9)}"},
                {"description": " "},
                {"nickname": "Jája"},
            ]
            bad = [{"birth_number": "8001011000"}, {"name": None, "user_name": ""}, '{"id": ' + str(id)]
            change[id] = self.rng.choice([*good, *bad])
        name = self.rng.choice([None, None, f"export-{self.rng.randint(1, 3)}.jsonl"])
        self.add(at, "people", change=change, name=name)

    def products(self, at: int) -> None:
        id = self.rng.randint(0, 8)
        bad = ["{", {"price": self.rng.choice([-3, "x"])}]
        good = self.rng.choice([{}, None, {"price": self.rng.choice([1, 2.5])}, *bad])
        name = self.rng.choice([None, None, None, "product-{}.json"])
        self.add(at, "goods", change={id: good}, name=name)

    def vips(self, at: int) -> None:
        ids: list[int | str] = list(self.rng.sample(range(10), self.rng.randint(3, 5)))
        self.add(at, "vips", ids=[1, 2, *(id for id in ids if id not in (1, 2))])

    def shrunken(self, at: int) -> None:
        kept = self.rng.sample(range(10), self.rng.choice([0, 2, 3]))
        accept = self.rng.random() < 0.4
        self.add(at, "only_people", ids=sorted(kept), landed=self.rng.random() < 0.8, accept=accept)

    def touch(self, at: int) -> None:
        self.add(at, "touch", data_set=self.rng.choice(["users", "products", "vip_users"]))

    # ---- the product

    def backfill(self, at: int) -> None:
        first, last = sorted(self.rng.choices(range(self.hours), k=2))
        self.add(at, "backfill", first=first, last=min(last, first + 5))

    def layers(self, at: int) -> None:
        data_set = self.rng.choice(self.hourly)
        layer = self.rng.choice(["raw", "raw", "bronze", "silver", "silver", "newest"])
        hours = self.rng.sample(range(self.hours), min(3, self.hours))
        self.add(at, "layer", data_set=data_set, layer=layer, hours=hours)

    def trouble(self, rng: random.Random) -> None:
        """Ticks that meet trouble, and a damaged file; by random numbers of their own, so that all else stays as it is
        without them."""
        for hour in rng.sample(range(1, self.hours), 3):
            times, dies = rng.choice([(1, False), (3, False), (50, False), (1, True), (1, True)])
            self.add(hour * HOUR_MS + 5 * 60_000 + 500, "trouble", after=rng.randint(0, 40), times=times, dies=dies)
        at = rng.randint(2 * HOUR_MS, (self.hours - 1) * HOUR_MS)
        data_set, layer, how = rng.choice(self.hourly), rng.choice(["bronze", "silver"]), rng.choice([*DAMAGES])
        self.add(at, "damage", data_set=data_set, layer=layer, how=how, which=rng.random())
        for hour in rng.sample(range(1, self.hours), 2):
            times, dies = rng.choice([(1, False), (3, False), (50, False), (1, True), (1, True)])
            # Streams, of which there are more, have more commits.
            after = rng.randint(0, 30 if self.streams else 10)
            at = hour * HOUR_MS + 5 * 60_000 + 900
            self.add(at, "trouble", after=after, times=times, dies=dies, models=True)

    def landing(self, at: int) -> None:
        now = at // HOUR_MS
        hours = sorted({now, self.rng.randint(0, now)})
        for data_set in self.hourly:
            self.add(at, "layer", data_set=data_set, layer="raw", hours=hours)

    def exports(self, at: int) -> None:
        self.add(at, "exports", again=self.rng.random() < 0.4)

    def reconcile(self, at: int) -> None:
        self.add(at, "reconcile")

    def follow(self, at: int) -> None:
        self.add(at, "follow")
