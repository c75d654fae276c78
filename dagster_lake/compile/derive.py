"""Fields derived from PII before it is masked; none of them identifies a person.

A Czech birth number is YYMMDD/NNN (before 1954) or YYMMDD/NNNC; a woman's month is 50 higher, and since 2004 either
sex may have 20 more when a day's numbers run out (Act 133/2000 Coll., section 13).
"""

from dagster_lake.compile.dialect import Dialect

_FORM = "[0-9]{6}/?[0-9]{3,4}"


def derived(derivation: str, value: str, as_of: str, dialect: Dialect) -> str:
    """The derived value of the clear ``value``; ``as_of`` is the text key of the day it is derived for."""
    functions = {"sex_of_birth_number": _sex, "age_band_of_birth_number": _age_band}
    known = f"({value}) IS NOT NULL AND {dialect.matches(value, _FORM)}"
    return f"CASE WHEN {known} THEN {functions[derivation](value, as_of)} END"


def _sex(value: str, as_of: str) -> str:
    return f"CASE WHEN {_digits(value, 3, 2)} > 50 THEN 'female' ELSE 'male' END"


def _age_band(value: str, as_of: str) -> str:
    # Dates as the integers YYYYMMDD: the difference, divided by 10000 and floored, is the age in full years.
    year, month, day = _digits(value, 1, 2), _digits(value, 3, 2), _digits(value, 5, 2)
    without_check_digit = f"length(replace({value}, '/', '')) = 9"
    century = f"CASE WHEN {without_check_digit} OR {year} >= 54 THEN 1900 ELSE 2000 END"
    month_of_year = f"(({month} % 50) % 20)"
    born = f"(({century} + {year}) * 10000 + {month_of_year} * 100 + {day})"
    today = f"try_cast(replace(substr({as_of}, 1, 10), '-', '') AS BIGINT)"
    age = f"floor(({today} - {born}) / 10000.0)"
    return f"CASE WHEN {age} < 13 THEN 'child' WHEN {age} < 18 THEN 'teenager' ELSE 'adult' END"


def _digits(value: str, start: int, length: int) -> str:
    return f"try_cast(substr({value}, {start}, {length}) AS BIGINT)"
