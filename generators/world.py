"""The size and seed of the generated outside world."""

from dataclasses import dataclass
from datetime import UTC, datetime

# Times inside an hour are computed as row * microseconds, which must fit 63 bits even in the busiest hour.
_LIMIT = 1_000_000_000


@dataclass(frozen=True)
class World:
    """Everything that decides what the sources contain: equal worlds give equal rows, byte for byte.

    - `seed`: any integer.
    - `users`, `vip_users`, `products`: how many exist; ids are 0..n-1, VIPs are distinct existing users.
    - `orders_per_hour`, `pageviews_per_hour`: averages over a week; single hours follow the weekday and the hour.
    - `epoch`: the UTC hour at which row 0 of the hourly data sets begins; nothing exists before it.

    Raises `ValueError`, naming the field, when a value is impossible.
    """

    seed: int = 42
    users: int = 1_000
    vip_users: int = 50
    products: int = 200
    orders_per_hour: int = 40
    pageviews_per_hour: int = 1_200
    epoch: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        for field in ("users", "products", "orders_per_hour", "pageviews_per_hour"):
            value = getattr(self, field)
            if not 1 <= value <= _LIMIT:
                raise ValueError(f"World.{field} is {value}: give a number from 1 to {_LIMIT:,}")
        if not 0 <= self.vip_users <= self.users:
            raise ValueError(
                f"World.vip_users is {self.vip_users}: VIPs are distinct users, give 0 to {self.users} or more users"
            )
        require_hour_start(self.epoch, "World.epoch")
        if not 2000 <= self.epoch.year <= 2053:
            raise ValueError(f"World.epoch is in {self.epoch.year}: give a year from 2000 to 2053")


def require_hour_start(moment: datetime, name: str) -> None:
    """Raise `ValueError` unless `moment` is the start of an hour with a UTC time zone."""
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() != 0:
        raise ValueError(f"{name} is {moment!r}: give it the time zone UTC, e.g. datetime(2026, 1, 1, tzinfo=UTC)")
    if moment.minute or moment.second or moment.microsecond:
        raise ValueError(f"{name} is {moment.isoformat()}: give the start of an hour, minutes and below at zero")
