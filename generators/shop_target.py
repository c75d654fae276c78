"""The shop's database that a person names. Like ``live_target``, it knows the lake's code, and only when it is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from generators.database import table_batches
from generators.dials import Dirt
from generators.live_target import TargetError, telling
from generators.world import World

_HOUR = timedelta(hours=1)


def lake_world() -> tuple[World, Dirt]:
    """The generated world that the lake's settings describe, and how dirty it is."""
    from dagster_lake.settings.lake import Settings
    from dagster_lake.shop.world import dirt_of, world_of

    with telling():
        settings = Settings()
    return world_of(settings), dirt_of(settings)


def fill(url: str, world: World, dirt: Dirt, first: datetime, hours: int) -> Iterator[datetime]:
    """Writes orders and their items of the lake hours from `first` on, an hour at a time; gives each that is done.

    The tables are made when absent. Raises `TargetError` when the database cannot be filled.
    """
    from dagster_lake.shop.database import ShopDatabase

    with _named(url), telling():
        shop = ShopDatabase(url)
        for hour in (first + number * _HOUR for number in range(hours)):
            shop.upsert({table: table_batches(world, table, hour, dirt) for table in ("orders", "order_items")})
            yield hour


@contextmanager
def _named(url: str) -> Iterator[None]:
    from sqlalchemy.exc import ArgumentError

    try:
        yield
    except ArgumentError as error:
        raise TargetError(f"{url!r} is no address; write sqlite:///file.db or postgresql://user@host/name") from error
