"""The least and greatest value of a contract, held against a column in the column's own type.

A bound may be finer than the column, or beyond its range: ``minimum: 0.5`` of whole numbers, ``maximum: 1e40`` of
integers. Engines would bring both sides into a wider type, which a value of 38 digits does not fit, or a double, which
takes neighbours for equal. So the bound is brought to the nearest value of the column's type that says the same.
"""

import math
from decimal import Decimal
from fractions import Fraction

from dagster_lake.compile.dialect import Dialect, is_exact
from dagster_lake.contract.model import Property

LONGEST_TEXT = 2**31 - 1
"""Characters; no engine holds a longer text."""


def below_minimum(value: str, prop: Property, dialect: Dialect) -> str:
    """The condition that ``value``, SQL of the property's type, is less than its minimum; null for null."""
    assert prop.minimum is not None
    if is_exact(prop):
        units, least, most = math.ceil(_units(prop.minimum, prop)), *_range(prop)
        return _beyond(f"{value} < {_exact(min(units, most), prop, dialect)}", value, units <= least, units > most)
    bound = _double(prop.minimum, up=True)
    return _beyond(f"{value} < {_literal(bound)}", value, bound == -math.inf, bound == math.inf)


def above_maximum(value: str, prop: Property, dialect: Dialect) -> str:
    """The condition that ``value``, SQL of the property's type, is greater than its maximum; null for null."""
    assert prop.maximum is not None
    if is_exact(prop):
        units, least, most = math.floor(_units(prop.maximum, prop)), *_range(prop)
        return _beyond(f"{value} > {_exact(max(units, least), prop, dialect)}", value, units >= most, units < least)
    bound = _double(prop.maximum, up=False)
    return _beyond(f"{value} > {_literal(bound)}", value, bound == math.inf, bound == -math.inf)


def too_short(value: str, prop: Property) -> str:
    """The condition that a text has fewer characters than it must have; null for null."""
    assert prop.min_length is not None
    return f"length({value}) < {min(prop.min_length, LONGEST_TEXT + 1)}"


def too_long(value: str, prop: Property) -> str:
    """The condition that a text has more characters than it may have; null for null."""
    assert prop.max_length is not None
    return f"length({value}) > {min(prop.max_length, LONGEST_TEXT)}"


def _beyond(condition: str, value: str, never: bool, always: bool) -> str:
    """``condition``, or what it comes to where the bound is outside of the column's range."""
    return "false" if never else f"{value} IS NOT NULL" if always else condition


def _units(bound: int | float, prop: Property) -> Fraction:
    """The bound, as it is written, in units of the column's last digit."""
    return Fraction(Decimal(repr(bound))) * 10 ** (prop.scale or 0)


def _range(prop: Property) -> tuple[int, int]:
    """The least and greatest value of the column, in units of its last digit."""
    if prop.precision is None:
        return -(2**63), 2**63 - 1
    return 1 - 10**prop.precision, 10**prop.precision - 1


def _exact(units: int, prop: Property, dialect: Dialect) -> str:
    return f"CAST('{_text(units, prop.scale or 0)}' AS {dialect.sql_type(prop)})"


def _text(units: int, scale: int) -> str:
    """``units`` of the last of ``scale`` digits as a number; ``Decimal`` would round it to its context."""
    digits = str(abs(units)).zfill(scale + 1)
    sign = "-" if units < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def _double(bound: int | float, *, up: bool) -> float:
    """The double nearest to the bound that is not below it, or not above it."""
    try:
        near = float(bound)
    except OverflowError:
        near = math.inf if bound > 0 else -math.inf
    if math.isinf(near):
        beyond = (near > 0) == up
        return near if beyond else math.copysign(math.nextafter(math.inf, 0), near)
    if up and Fraction(near) < bound:
        return math.nextafter(near, math.inf)
    return math.nextafter(near, -math.inf) if not up and Fraction(near) > bound else near


def _literal(bound: float) -> str:
    return f"CAST('{bound!r}' AS DOUBLE)"
