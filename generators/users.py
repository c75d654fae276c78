"""Users of the shop: Czech people. Row i is the user with id i."""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

import numpy as np
import pyarrow as pa

from generators.columns import chunks, digits, join, required, take, text_of, triples
from generators.counter import Bools, Ints, below, bits, stream
from generators.pools import czech
from generators.world import World

NAME = "users"
SCHEMA = pa.schema(
    [
        required("id", pa.int64()),
        required("name", pa.string()),
        required("city", pa.string()),
        required("street_address", pa.string()),
        required("phone_number", pa.string()),
        required("birth_number", pa.string()),
        required("user_name", pa.string()),
        required("administrative_unit", pa.string()),
        required("description", pa.string()),
        required("jobs", pa.list_(pa.string())),
    ]
)

_YOUNGEST, _OLDEST = 5, 72
_TEN_DIGIT_NUMBERS_FROM = date(1954, 1, 1)


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean users start_row..stop_row-1."""
    for rows in chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, rows)


def rows_at(world: World, rows: Ints) -> pa.RecordBatch:
    """The clean users with these ids.

    `birth_number` is a valid Czech one (YYMMDD/NNNC, month + 50 for women) of a person 5 to 72 years old at the
    world's epoch, and `name` fits its sex. `user_name` is unique and not made from the name.
    """
    pools = czech()
    women = bits(stream(world.seed, NAME, "sex"), rows) >> np.uint64(63) == 1

    def pick(column: str, pool: pa.Array) -> pa.Array:
        return take(pool, below(stream(world.seed, NAME, column), rows, len(pool)))

    ids = pa.array(rows)
    house = text_of(1 + below(stream(world.seed, NAME, "house"), rows, 1_500))
    phone = text_of(601_000_000 + below(stream(world.seed, NAME, "phone"), rows, 189_000_000))
    columns = [
        ids,
        _names(world, rows, women),
        pick("city", pools.cities),
        join(pick("street", pools.streets), " ", house),
        join("+420", phone),
        _birth_numbers(world, rows, women),
        join(pick("user_name", _handles()), text_of(rows)),
        pick("administrative_unit", pools.administrative_units),
        join(pick("description_1", pools.sentences), " ", pick("description_2", pools.sentences)),
        triples(*(pick(f"job_{n}", pools.jobs) for n in (1, 2, 3))),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def keys(world: World, rows: Ints) -> pa.Array:
    """The ids as text."""
    return text_of(rows)


def _names(world: World, rows: Ints, women: Bools) -> pa.Array:
    pools = czech()

    def pick(column: str, men_pool: pa.Array, women_pool: pa.Array) -> pa.Array:
        key = stream(world.seed, NAME, column)
        sizes = np.where(women, len(women_pool), len(men_pool))
        at = below(key, rows, sizes) + np.where(women, len(men_pool), 0)
        return take(pa.concat_arrays([men_pool, women_pool]), at)

    first = pick("first_name", pools.male_first_names, pools.female_first_names)
    last = pick("last_name", pools.male_last_names, pools.female_last_names)
    return join(first, " ", last)


def _birth_numbers(world: World, rows: Ints, women: Bools) -> pa.Array:
    earliest, days = _birthdays(world.epoch.date())
    born = below(stream(world.seed, NAME, "birthday"), rows, days)
    date_codes = _date_codes(earliest, days)[born] + np.where(women, 5_000, 0)
    nine = date_codes * 1_000 + below(stream(world.seed, NAME, "serial"), rows, 999)
    # A remainder of 10 has no single check digit; the next serial number has remainder 0.
    nine += nine % 11 == 10
    ten = nine * 10 + nine % 11
    return join(digits(ten // 10_000, 6), "/", digits(ten % 10_000, 4))


def _birthdays(epoch: date) -> tuple[date, int]:
    latest = epoch.replace(year=epoch.year - _YOUNGEST, day=min(epoch.day, 28))
    earliest = epoch.replace(year=epoch.year - _OLDEST, day=min(epoch.day, 28))
    earliest = max(earliest, _TEN_DIGIT_NUMBERS_FROM)
    return earliest, (latest - earliest).days + 1


@lru_cache(maxsize=8)
def _date_codes(earliest: date, days: int) -> Ints:
    """YYMMDD as a number for each day from `earliest` on."""
    day = np.datetime64(earliest) + np.arange(days)
    month = day.astype("datetime64[M]")
    year = month.astype("datetime64[Y]")
    of_year = year.astype(np.int64) + 1970
    of_month = (month - year).astype(np.int64) + 1
    of_day = (day - month).astype(np.int64) + 1
    codes: Ints = (of_year % 100) * 10_000 + of_month * 100 + of_day
    return codes


@lru_cache(maxsize=1)
def _handles() -> pa.Array:
    starts = ("kometa", "modry", "rychly", "tichy", "lesni", "nocni", "zlaty", "divoky", "ranni", "snezny")
    ends = ("vlk", "orel", "jezek", "rys", "sokol", "kapr", "tygr", "bobr", "drak", "jelen", "krtek", "vydra")
    return pa.array([f"{start}_{end}" for start in starts for end in ends])
