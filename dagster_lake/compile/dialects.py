"""The primitives that contracts compile to, each spelled for DuckDB.

Every primitive takes and returns SQL expressions. Another engine is another class with the same methods; what the
spellings must agree on is said in each docstring.
"""

from collections.abc import Sequence

from dagster_lake.contract import Property

INTEGER = "[+-]?[0-9]{1,19}"
NUMBER = "[+-]?[0-9]+(\\.[0-9]*)?([eE][+-]?[0-9]{1,3})?"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
TIMESTAMP = f"{DATE}[T ]{_TIME}{_OFFSET}"
_RANGES = {
    "number": ("-1.7976931348623157e308", "1.7976931348623157e308"),
    "date": ("0001-01-01", "9999-12-31"),
    "timestamp": ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
}


class DuckDBDialect:
    """SQL as DuckDB 2 spells it, with the session's time zone set to UTC."""

    def identifier(self, name: str) -> str:
        """A quoted identifier."""
        return '"' + name.replace('"', '""') + '"'

    def literal(self, value: str | int | float) -> str:
        """A literal from a contract: text is quoted, numbers are not."""
        return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)

    def texts(self, values: Sequence[str]) -> str:
        """A comma-separated list of text literals."""
        return ", ".join(self.literal(v) for v in values)

    def utf8(self, blob: str) -> str:
        """Bytes as text; null when they are not UTF-8."""
        return f"try(decode({blob}))"

    def hex(self, blob: str) -> str:
        """Bytes as upper-case hexadecimal text."""
        return f"hex({blob})"

    def is_json_object(self, text: str) -> str:
        """Whether text is one JSON object, white space around it allowed; false for null."""
        # Valid JSON that begins with a brace is an object: asking for its type would parse it a second time.
        return f"coalesce(json_valid({text}) AND starts_with(ltrim({text}, E' \\t\\r\\n'), '{{'), false)"

    def json_texts(self, document: str, names: Sequence[str]) -> str:
        """A list with the text of each named field: strings unquoted, null and absent as null, the rest as JSON."""
        return f"json_extract_string({document}, [{self.texts(['$.' + n for n in names])}])"

    def json_rest(self, document: str, names: Sequence[str]) -> str:
        """The fields not named, as a JSON object; null when there is none (a merge patch, RFC 7396)."""
        removal = "{" + ", ".join(f'"{n}":null' for n in names) + "}"
        rest = f"CAST(json_merge_patch({document}, {self.literal(removal)}) AS VARCHAR)"
        # Building the patched document is dear, and few documents have a field that is not named.
        return f"CASE WHEN NOT list_has_all([{self.texts(names)}], json_keys({document})) THEN {rest} END"

    def trimmed(self, text: str) -> str:
        """Text without white space at its ends; null when nothing is left."""
        # Trimming is dear and seldom needed. Nothing that begins or ends below '!' is left out: that is all white
        # space, and the empty text.
        needed = f"{text} < '!' OR {text}[-1] < '!'"
        return f"CASE WHEN {needed} THEN nullif(trim({text}, E' \\t\\r\\n'), '') ELSE {text} END"

    def matches(self, text: str, pattern: str) -> str:
        """Whether the whole text matches a regular expression (RE2's and Java's common ground)."""
        return f"regexp_full_match({text}, {self.literal(pattern)})"

    def contains(self, text: str, pattern: str) -> str:
        """Whether the regular expression is found in the text, as ODCS patterns are meant."""
        return f"regexp_matches({text}, {self.literal(pattern)})"

    def sql_type(self, prop: Property) -> str:
        """The type of a property in silver."""
        if prop.precision is not None:
            return f"DECIMAL({prop.precision}, {prop.scale})"
        return {
            "string": "VARCHAR",
            "integer": "BIGINT",
            "number": "DOUBLE",
            "boolean": "BOOLEAN",
            "date": "DATE",
            "timestamp": "TIMESTAMP WITH TIME ZONE",
            "array": "VARCHAR[]",
        }[prop.logical_type]

    def try_cast(self, text: str, prop: Property) -> str:
        """Trimmed text in the property's type; null when it is not exactly of that type.

        Engines cast '1.5' to an integer or 1.005 to cents each in its own way, so the form is checked first: no
        rounding, no local date forms, no 24:00. A timestamp without an offset is UTC; what is finer than a microsecond
        is cut off. A number is finite, and a date or timestamp within the years 1 to 9999, which every reader can hold.
        """
        kind = self.sql_type(prop)
        if prop.logical_type == "string":
            return text
        if prop.logical_type == "array":
            return f"try(from_json({text}, '[\"VARCHAR\"]'))"
        if prop.logical_type == "boolean":
            return f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END"
        if prop.precision is not None:
            form = f"[+-]?[0-9]+(\\.[0-9]{{0,{prop.scale}}}0*)?"
        else:
            form = {"integer": INTEGER, "number": NUMBER, "date": DATE, "timestamp": TIMESTAMP}[prop.logical_type]
        condition, value = self.matches(text, form), f"try_cast({text} AS {kind})"
        if prop.logical_type in _RANGES and prop.precision is None:
            least, most = (f"CAST('{bound}' AS {kind})" for bound in _RANGES[prop.logical_type])
            condition += f" AND {value} BETWEEN {least} AND {most}"
        return f"CASE WHEN {condition} THEN {value} END"

    def hmac_sha256(self, text: str) -> str:
        """HMAC-SHA-256 of the text's UTF-8 as lower-case hexadecimal (RFC 2104), from the pads bound as ``$inner_pad``
        and ``$outer_pad``: the key itself never stands in SQL."""
        inner = f"unhex(sha256($inner_pad || encode({text})))"
        return f"sha256($outer_pad || {inner})"

    def hours_between(self, earlier: str, later: str) -> str:
        """How many hours the lake hour ``later`` is after ``earlier``, both keys."""
        start, end = (f"strptime({key}, '%Y-%m-%dT%H')" for key in (earlier, later))
        return f"date_diff('hour', {start}, {end})"

    def list_of(self, expressions: Sequence[str]) -> str:
        """The non-null texts among the expressions, sorted."""
        return f"list_sort(list_filter([{', '.join(expressions)}], lambda reason: reason IS NOT NULL))"
