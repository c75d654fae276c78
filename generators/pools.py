"""Czech words and names, drawn from Faker once per process; rows then only look values up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
from faker import Faker


@dataclass(frozen=True)
class CzechPools:
    """Distinct values of one kind each, as text columns."""

    male_first_names: pa.Array
    male_last_names: pa.Array
    female_first_names: pa.Array
    female_last_names: pa.Array
    cities: pa.Array
    streets: pa.Array
    administrative_units: pa.Array
    sentences: pa.Array
    jobs: pa.Array
    words: pa.Array


@cache
def czech() -> CzechPools:
    """The pools, the same in every process with the same version of Faker."""
    fake = Faker("cs_CZ")
    fake.seed_instance(20_260_101)
    return CzechPools(
        male_first_names=_distinct(fake.first_name_male, 400),
        male_last_names=_distinct(fake.last_name_male, 600),
        female_first_names=_distinct(fake.first_name_female, 400),
        female_last_names=_distinct(fake.last_name_female, 600),
        cities=_distinct(fake.city, 800),
        streets=_distinct(fake.street_name, 1_000),
        administrative_units=_distinct(fake.administrative_unit, 100),
        sentences=_distinct(fake.sentence, 800),
        jobs=_distinct(fake.job, 800),
        words=_distinct(fake.word, 800),
    )


def _distinct(draw: Callable[[], str], draws: int) -> pa.Array:
    return pa.array(sorted({draw() for _ in range(draws)}), pa.string())
