"""A least or greatest value is held against a column exactly, at the ends of every type, on every engine."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from dagster_lake.compile.bounds import above_maximum, below_minimum, too_long, too_short
from dagster_lake.contract.columns import arrow_type
from dagster_lake.contract.model import Property
from tests.engines.dialects import Side

NINES = 10**38 - 1
BOUNDS: list[int | float] = [
    *(0, 1, -1, 0.5, -0.5, 0.1, 1e-30, 1e22, -1e22, 1.5, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**53 + 1),
    *(NINES, -NINES, NINES + 1, 10**50, -(10**50), 10**400, -(10**400), 1e308, -1e308, 5e-324, -5e-324, 99999999.99),
    *(99999999.995, -99999999.99, 0.01, 0.005, 1.7976931348623157e308),
]
CASES: dict[str, tuple[Property, list[Any]]] = {
    "integer": (Property("x", "integer", ""), [0, 1, -1, 2, 2**63 - 1, -(2**63), 2**53, 2**53 + 1]),
    "whole": (
        Property("x", "number", "", precision=38, scale=0),
        [Decimal(n) for n in (0, 1, -1, NINES, -NINES, 10**22, 2**63)],
    ),
    "money": (
        Property("x", "number", "", precision=10, scale=2),
        [Decimal(t) for t in ("0.00", "0.01", "-0.01", "0.50", "99999999.99", "-99999999.99", "1.50")],
    ),
    "fraction": (
        Property("x", "number", "", precision=38, scale=38),
        [Decimal("0." + digits) for digits in ("0" * 37 + "1", "9" * 38, "5" + "0" * 37, "1" + "0" * 37, "0" * 38)],
    ),
    "double": (
        Property("x", "number", ""),
        [0.0, 0.1, -0.1, 0.5, 5e-324, 1e22, 2.0**53, 2.0**53 + 2, 2.0**63, 1.7976931348623157e308, -1e308],
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_bounds_mean_the_number_that_they_say(side: Side, kind: str) -> None:
    prop, values = CASES[kind]
    draw = Random(kind)
    bounds = [*BOUNDS, *(draw.choice([1, -1]) * draw.getrandbits(draw.choice([8, 60, 64, 120, 140])) for _ in range(9))]
    conditions = [
        condition
        for bound in bounds
        for condition in (
            below_minimum("x", replace(prop, minimum=bound), side.dialect),
            above_maximum("x", replace(prop, maximum=bound), side.dialect),
        )
    ]
    each = ", ".join(f"coalesce({condition}, false)" for condition in conditions)

    found = side.evaluate(f"array({each})" if side.name == "spark" else f"[{each}]", [*values, None], arrow_type(prop))

    said = [_number(bound, kind) for bound in bounds]
    wanted = [[is_so for bound in said for is_so in (Fraction(v) < bound, Fraction(v) > bound)] for v in values]
    assert found == [*wanted, [False] * len(conditions)]


def _number(bound: int | float, kind: str) -> Fraction:
    """The bound as it is written; of doubles, as the double that the value of the same digits is, too."""
    return Fraction(bound) if kind == "double" else Fraction(Decimal(repr(bound)))


def test_lengths_beyond_what_a_text_can_have_are_bounds_too(side: Side) -> None:
    prop = Property("x", "string", "", min_length=10**50, max_length=10**50)

    found = side.evaluate(f"coalesce({too_short('x', prop)}, false)", ["", "a", None], pa.string())
    longer = side.evaluate(f"coalesce({too_long('x', prop)}, false)", ["", "a", None], pa.string())

    assert (found, longer) == ([True, True, False], [False] * 3)
