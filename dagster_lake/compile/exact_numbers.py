"""Numbers as JSON writes them, ``1e3`` and ``1.0`` included, as exact integers and decimals, without a double between.

``00012`` is no number: it is a text that happens to have digits, and to take it for 12 would make one key of two.
"""

from collections.abc import Callable

from dagster_lake.contract.model import Property

_WHOLE = "-?(?:0|[1-9][0-9]*)"
_PLACES = 1000
_EXPONENT = "([eE][+-]?[0-9]{1,3})?"

NUMBER = f"{_WHOLE}(\\.[0-9]+)?{_EXPONENT}"
"""What JSON calls a number, with an exponent of at most three digits."""


def plain_form(prop: Property) -> str:
    """The regular expression of an integer or exact decimal without exponent, all of whose digits fit."""
    if not prop.scale:
        return _WHOLE if prop.precision is None else f"{_WHOLE}(?:\\.0+)?"
    return f"{_WHOLE}(?:\\.[0-9]{{1,{prop.scale}}}0*)?"


def spelled_out(text: str, named: Callable[[str, str, str], str]) -> str:
    """SQL, of every engine: a NUMBER without exponent, and without zeros that say nothing.

    ``named`` is the dialect's: written out at each place, the parts would take far longer to plan than to compute.
    """
    # The point moves within so many zeros that no exponent brings it to their end.
    zeros = f"repeat('0', {_PLACES})"
    digits = f"{zeros} || split_part(_mantissa, '.', 1) || split_part(_mantissa, '.', 2) || {zeros}"
    point = f"{_PLACES} + length(split_part(_mantissa, '.', 1)) + _exponent"
    whole = "regexp_replace(substr(_digits, 1, _point), '^0+', '')"
    fraction = "regexp_replace(substr(_digits, _point + 1), '0+$', '')"
    sign = f"CASE WHEN {text} LIKE '-%' THEN '-' ELSE '' END"
    number = f"{sign} || coalesce(nullif({whole}, ''), '0') || coalesce('.' || nullif({fraction}, ''), '')"
    number = named("_digits", digits, named("_point", point, number))
    number = named("_exponent", "coalesce(try_cast(split_part(_number, 'e', 2) AS INTEGER), 0)", number)
    number = named("_mantissa", "split_part(_number, 'e', 1)", number)
    return named("_number", f"lower(regexp_replace({text}, '^-', ''))", number)
