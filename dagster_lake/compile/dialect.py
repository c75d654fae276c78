"""The primitives that contracts compile to. Each engine spells them in a class of its own; here is what they mean.

Every primitive takes and returns SQL expressions, of text unless it says otherwise. The spellings agree exactly:
tests/engines runs both on the same inputs and compares them with a model in plain Python.
"""

from collections.abc import Sequence
from typing import Protocol

from dagster_lake.compile.exact_numbers import NUMBER, plain_form, spelled_out
from dagster_lake.contract.model import Property

DEEPEST = 1000
"""Levels of objects and arrays in a JSON text, the outermost being the first; what is deeper is malformed."""

WHITE_SPACE = " \t\r\n"
"""What JSON calls white space, and all that is trimmed."""

DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
TIMESTAMP = f"{DATE}[T ]{_TIME}{_OFFSET}"
RANGES = {
    "number": ("-1.7976931348623157e308", "1.7976931348623157e308"),
    "date": ("0001-01-01", "9999-12-31"),
    "timestamp": ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
}


class Dialect(Protocol):
    """SQL as one engine spells it, in a session whose time zone is UTC."""

    def identifier(self, name: str) -> str:
        """A quoted identifier."""
        ...

    def literal(self, value: str | int | float) -> str:
        """A literal from a contract: text is quoted, numbers are not."""
        ...

    def texts(self, values: Sequence[str]) -> str:
        """A comma-separated list of text literals."""
        ...

    def parameter(self, name: str) -> str:
        """A part of the masking key (``key_id``, ``inner_pad``, ``outer_pad``), which never stands in SQL itself."""
        ...

    def sql_type(self, prop: Property) -> str:
        """The type of a property in silver."""
        ...

    def text_type(self) -> str:
        """The type of text of any length."""
        ...

    def utf8(self, blob: str) -> str:
        """Bytes as text; null when they are not UTF-8."""
        ...

    def hex(self, blob: str) -> str:
        """Bytes as upper-case hexadecimal text."""
        ...

    def without_line_end(self, text: str) -> str:
        """Text without the carriage returns and line feeds at its end."""
        ...

    def trimmed(self, text: str) -> str:
        """Text without white space at its ends; null when nothing is left."""
        ...

    def matches(self, text: str, pattern: str) -> str:
        """Whether the whole text matches a regular expression of RE2's and Java's common ground."""
        ...

    def contains(self, text: str, pattern: str) -> str:
        """Whether the regular expression, in RE2's meaning, is found in the text, as ODCS patterns are meant."""
        ...

    def is_json_object(self, text: str) -> str:
        """Whether text is one JSON object, white space around it allowed; false for null.

        JSON is RFC 8259 to the letter (no trailing commas, NaN, single quotes, lone surrogates, nor anything after
        the object), at most ``DEEPEST`` levels deep.
        """
        ...

    def json_object(self, text: str) -> str:
        """The object that ``json_texts`` and ``json_rest`` read; null when the text is none (see is_json_object)."""
        ...

    def json_texts(self, document: str, names: Sequence[str]) -> str:
        """A list with the text of each named field of a ``json_object``.

        Strings come unescaped, numbers as they are written, null and absent as null, the rest as JSON: without white
        space between tokens, strings with only the escapes that JSON requires, numbers as they are written. Of fields
        of the same name the first counts; ``json_rest`` has the others.
        """
        ...

    def json_rest(self, document: str, names: Sequence[str]) -> str:
        """The fields of a ``json_object`` that ``json_texts`` does not give, as a JSON object like those of its texts:
        those that are not named, and those named ones that come again. Null when there is none."""
        ...

    def item(self, array: str, index: int) -> str:
        """The item of a list at ``index``, from 0."""
        ...

    def try_cast(self, text: str, prop: Property) -> str:
        """Trimmed text in the property's type; null when it is not exactly of that type.

        Engines cast '1.5' to an integer or 1.005 to cents each in its own way, so the form is checked first: no
        rounding, no local date forms, no 24:00. Numbers are what JSON calls so: ``1e3`` and ``1.0`` are integers,
        ``007`` and ``+5`` are none. A timestamp without an offset is UTC; what is finer than a microsecond
        is cut off. A number is finite, and a date or timestamp within the years 1 to 9999, which every reader can hold.
        An array is a JSON array; its items are texts as in ``json_texts``.
        """
        ...

    def hmac_sha256(self, text: str) -> str:
        """HMAC-SHA-256 of the text's UTF-8 as lower-case hexadecimal (RFC 2104), from the parameters ``inner_pad`` and
        ``outer_pad``."""
        ...

    def hours_between(self, earlier: str, later: str) -> str:
        """How many hours the lake hour ``later`` is after ``earlier``, both keys."""
        ...

    def record(self, expressions: Sequence[str]) -> str:
        """The expressions as one value, to compare and to order by, in their order; a null equals a null in it."""
        ...

    def least_by(self, value: str, order: str) -> str:
        """The aggregate that gives ``value`` of the row with the least ``order``."""
        ...

    def named(self, name: str, value: str, expression: str) -> str:
        """``expression``, in which ``name``, an identifier that no field has, stands for ``value``, computed once."""
        ...

    def list_of(self, expressions: Sequence[str]) -> str:
        """The non-null texts among the expressions, sorted."""
        ...


def is_exact(prop: Property) -> bool:
    """Whether ``prop`` is an integer or an exact decimal."""
    return prop.precision is not None or prop.logical_type == "integer"


def exact(dialect: Dialect, text: str, prop: Property) -> str:
    """``try_cast`` of an integer or exact decimal. Nearly all are written plainly; the others are spelled out first."""
    form, kind = plain_form(prop), dialect.sql_type(prop)
    value = f"CASE WHEN {dialect.matches('_plain', form)} THEN try_cast(_plain AS {kind}) END"
    return (
        f"CASE WHEN {dialect.matches(text, form)} THEN try_cast({text} AS {kind}) WHEN {dialect.matches(text, NUMBER)} "
        f"THEN {dialect.named('_plain', spelled_out(text, dialect.named), value)} END"
    )


def form_of(prop: Property) -> str:
    """The regular expression of a text that may be a value of ``prop``, a double, date or timestamp."""
    return {"number": NUMBER, "date": DATE, "timestamp": TIMESTAMP}[prop.logical_type]
