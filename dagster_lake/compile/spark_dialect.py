"""Contracts' primitives as Spark spells them; what each means is said in ``dialect.Dialect``.

Spark's JSON reader passes numbers through doubles, tells a string from an object by nothing but its text, and ignores
what follows the first value. So a text is first read as it is, which finds what is no JSON, and then with its scalars
marked (see ``json_marks``).
"""

from collections.abc import Sequence

from dagster_lake.compile.dialect import DEEPEST, RANGES, WHITE_SPACE, exact, form_of, is_exact
from dagster_lake.compile.json_marks import MARK, MARKED_SCALAR, SCALAR, marked
from dagster_lake.contract.model import Property
from dagster_lake.contract.patterns import common_pattern
from dagster_lake.sql.spark import literal, quoted

FINDS = "_lake_finds"
"""The function, of a text and a regular expression, that ``engines.spark.patterns`` gives a session."""

# Every escape but a surrogate that stands alone.
_GOOD_ESCAPE = "\\\\[^u]|\\\\u(?![dD][89a-fA-F])|\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SURROGATE = "\\\\u[dD][89a-fA-F]"
_ESCAPED_SURROGATE = "\\uD"
# JSON cut into pairs of escaped surrogates, other escapes, and what has none.
_PARTS = "\\\\uD[89AB]..\\\\uD[C-F]..|\\\\.|[^\\\\]++"
_MOST_DIGITS = _LONGEST = str(2**31 - 1)


class SparkDialect:
    """SQL as Spark 4 spells it, ANSI mode on.

    The masking key is read from a view ``masking_key`` of one row: a literal or parameter would show in the plans that
    Spark keeps in its event log. A contract's patterns need the function ``FINDS``.
    """

    def identifier(self, name: str) -> str:
        return quoted(name)

    def literal(self, value: str | int | float) -> str:
        return literal(value)

    def texts(self, values: Sequence[str]) -> str:
        return ", ".join(self.literal(v) for v in values)

    def parameter(self, name: str) -> str:
        return f"(SELECT {name} FROM masking_key)"

    def sql_type(self, prop: Property) -> str:
        if prop.precision is not None:
            return f"DECIMAL({prop.precision}, {prop.scale})"
        return {
            "string": "STRING",
            "integer": "BIGINT",
            "number": "DOUBLE",
            "boolean": "BOOLEAN",
            "date": "DATE",
            "timestamp": "TIMESTAMP",
            "array": "ARRAY<STRING>",
        }[prop.logical_type]

    def text_type(self) -> str:
        return "STRING"

    def utf8(self, blob: str) -> str:
        return f"try_validate_utf8(CAST({blob} AS STRING))"

    def hex(self, blob: str) -> str:
        return f"hex({blob})"

    def without_line_end(self, text: str) -> str:
        return f"trim(TRAILING {self.literal(chr(13) + chr(10))} FROM {text})"

    def trimmed(self, text: str) -> str:
        return f"nullif(trim(BOTH {self.literal(WHITE_SPACE)} FROM {text}), '')"

    def matches(self, text: str, pattern: str) -> str:
        whole = "(?d)\\A(?:" + pattern + ")\\z"  # UNIX_LINES: only the line feed ends a line
        return f"{text} RLIKE {self.literal(whole)}"

    def contains(self, text: str, pattern: str) -> str:
        return f"{FINDS}({text}, {self.literal(common_pattern(pattern))})"

    def is_json_object(self, text: str) -> str:
        return f"({self.json_object(text)} IS NOT NULL)"

    def json_object(self, text: str) -> str:
        """A map of marked names to marked texts."""
        # In an array and then in an object: a closing bracket too many ends only one of them, and what follows it
        # would pass unseen.
        plain = f"'[' || {text} || ']'"
        with_marks = f"""'{{"":' || {self._marked(text)} || '}}'"""
        return (
            f"CASE WHEN get({self._read(plain, 'array<struct<>>', 1)}, 0) IS NOT NULL "
            f"AND NOT {self._has_lone_surrogate(text)} "
            f"THEN {self._read(with_marks, 'map<string,map<string,string>>', 1)}[''] END"
        )

    def json_texts(self, document: str, names: Sequence[str]) -> str:
        with_marks = ", ".join(f"{document}[{self.literal(MARK + name)}]" for name in names)
        return f"transform(array({with_marks}), _marked -> {self._unmarked('_marked')})"

    def json_rest(self, document: str, names: Sequence[str]) -> str:
        known = self.texts([MARK + name for name in names])
        again = f"array_position(map_keys({document}), _field.key) <= _place"  # the one counts from 1, the other from 0
        rest = f"filter(map_entries({document}), (_field, _place) -> _field.key NOT IN ({known}) OR {again})"
        value = (
            f"CASE WHEN _field.value IS NULL THEN 'null' WHEN left(_field.value, 1) = '{MARK}' THEN "
            f"{self._json_string('_field.value')} ELSE {self._unmarked('_field.value')} END"
        )
        members = f"transform({rest}, _field -> {self._json_string('_field.key')} || ':' || {value})"
        return f"'{{' || nullif(array_join({members}, ','), '') || '}}'"

    def item(self, array: str, index: int) -> str:
        return f"{array}[{index}]"

    def try_cast(self, text: str, prop: Property) -> str:
        kind = self.sql_type(prop)
        if prop.logical_type == "string":
            return text
        if prop.logical_type == "array":
            return self._json_array(text)
        if prop.logical_type == "boolean":
            return f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END"
        if is_exact(prop):
            return exact(self, text, prop)
        given = text
        if prop.logical_type == "timestamp":  # Spark wants seconds where an offset follows
            with_seconds = f"left({text}, 16) || ':00' || substr({text}, 17)"
            given = f"CASE WHEN substr({text}, 17, 1) = ':' THEN {text} ELSE {with_seconds} END"
        condition, value = self.matches(text, form_of(prop)), f"try_cast({given} AS {kind})"
        if prop.logical_type in RANGES:
            least, most = (f"CAST('{bound}' AS {kind})" for bound in RANGES[prop.logical_type])
            condition += f" AND {value} BETWEEN {least} AND {most}"
        return f"CASE WHEN {condition} THEN {value} END"

    def hmac_sha256(self, text: str) -> str:
        inner = f"unhex(sha2({self.parameter('inner_pad')} || CAST({text} AS BINARY), 256))"
        return f"sha2({self.parameter('outer_pad')} || {inner}, 256)"

    def hours_between(self, earlier: str, later: str) -> str:
        start, end = (f"to_timestamp({key}, \"yyyy-MM-dd'T'HH\")" for key in (earlier, later))
        return f"timestampdiff(HOUR, {start}, {end})"

    def record(self, expressions: Sequence[str]) -> str:
        return f"struct({', '.join(expressions)})"

    def least_by(self, value: str, order: str) -> str:
        return f"min_by({value}, {order})"

    def named(self, name: str, value: str, expression: str) -> str:
        return f"transform(array({value}), {name} -> {expression})[0]"

    def list_of(self, expressions: Sequence[str]) -> str:
        return f"array_sort(array_compact(array({', '.join(expressions)})))"

    def _json_array(self, text: str) -> str:
        plain = f"""'[{{"":' || {text} || '}}]'"""
        with_marks = f"'[' || {self._marked(text)} || ']'"
        return (
            f"CASE WHEN get({self._read(plain, 'array<struct<>>', 2)}, 0) IS NOT NULL "
            f"AND NOT {self._has_lone_surrogate(text)} "
            f"THEN transform(get({self._read(with_marks, 'array<array<string>>', 1)}, 0), _marked -> "
            f"{self._unmarked('_marked')}) END"
        )

    def _read(self, json: str, schema: str, wrapped: int) -> str:
        options = {
            "allowSingleQuotes": "false",
            "allowNonNumericNumbers": "false",
            "maxNestingDepth": str(DEEPEST + wrapped),
            "maxNumLen": _MOST_DIGITS,
            "maxStringLen": _LONGEST,
        }
        listed = ", ".join(self.texts(option) for option in options.items())
        return f"from_json({json}, '{schema}', map({listed}))"

    def _has_lone_surrogate(self, text: str) -> str:
        good = f"regexp_replace({text}, {self.literal(_GOOD_ESCAPE)}, '')"
        surrogate = self.literal(_SURROGATE)
        return f"({text} RLIKE {surrogate} AND {good} RLIKE {surrogate})"

    def _marked(self, text: str) -> str:
        return f"regexp_replace({text}, {self.literal(SCALAR)}, {self.literal(marked('$1', '$2'))})"

    def _unmarked(self, marked: str) -> str:
        inside = f"regexp_replace({marked}, {self.literal(MARKED_SCALAR)}, '$1$2$3')"
        return (
            f"CASE WHEN left({marked}, 1) = '{MARK}' THEN substr({marked}, 2) "
            f"WHEN left({marked}, 1) NOT IN ('{{', '[') THEN trim(TRAILING '{MARK}' FROM {marked}) "
            f"WHEN contains({marked}, {self.literal(_ESCAPED_SURROGATE)}) THEN {self._without_pairs(inside)} "
            f"ELSE {inside} END"
        )

    def _without_pairs(self, json: str) -> str:
        """Characters beyond U+FFFF, which Spark writes as two escapes, as themselves."""
        parts = f"regexp_extract_all({json}, {self.literal(_PARTS)}, 0)"
        character = "decode(unhex(substr(_part, 3, 4) || substr(_part, 9, 4)), 'UTF-16BE')"
        is_pair = f"startswith(_part, {self.literal(_ESCAPED_SURROGATE)})"
        return f"array_join(transform({parts}, _part -> CASE WHEN {is_pair} THEN {character} ELSE _part END), '')"

    def _json_string(self, marked: str) -> str:
        """The text behind the mark as a JSON string: an array of it without the brackets."""
        array = f"to_json(array(substr({marked}, 2)))"
        return f"substr({array}, 2, length({array}) - 2)"
