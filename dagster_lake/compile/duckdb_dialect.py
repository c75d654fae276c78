"""Contracts' primitives as DuckDB spells them; what each means is said in ``dialect.Dialect``."""

from collections.abc import Sequence

from dagster_lake.compile.dialect import DEEPEST, RANGES, exact, form_of, is_exact
from dagster_lake.compile.json_marks import MARK, MARKED_SCALAR, SCALAR, STRING, marked, re2
from dagster_lake.contract.model import Property
from dagster_lake.contract.patterns import common_pattern

# DuckDB's JSON reader takes more than JSON, and passes numbers through doubles. What may be concerned is found by one
# cheap expression that may be wrong about a string's content; only what it finds is looked at closely.
_SPACE = "[ \\t\\r\\n]*"
_LENIENT = f",{_SPACE}[}}\\]]|[:,\\[]{_SPACE}-?(?:[nN][aA]|[iI])"
_LENIENT_OUTSIDE_STRINGS = f",{_SPACE}[}}\\]]|[nN][aA]|[iI]"
# Numbers that a double does not give back as they were written: with an exponent, a last zero behind the point, a
# small one, more than 15 digits (some with 13 are taken for those), and minus zero.
_NUMBERS = "|".join(
    [
        "[0-9.]+[eE][-+0-9]+",
        "[0-9]+\\.[0-9]+0",
        "0\\.000000[0-9]+",
        "[0-9]{12,}\\.[0-9]+",
        "[0-9]{9,}\\.[0-9]{4,}",
        "[0-9]{6,}\\.[0-9]{7,}",
        "[0-9]{3,}\\.[0-9]{10,}",
        "[0-9]+\\.[0-9]{13,}",
    ]
)
_INEXACT = f"[:,\\[]{_SPACE}(?:-0|-?(?:{_NUMBERS})){_SPACE}[,}}\\]]"
_GROUPS = ("\\1", "\\2", "\\3")
_LEVELS = 1 << 31
_SHORTEST_DEEP = 2 * DEEPEST


class DuckDBDialect:
    """SQL as DuckDB 2 spells it."""

    def identifier(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def literal(self, value: str | int | float) -> str:
        return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)

    def texts(self, values: Sequence[str]) -> str:
        return ", ".join(self.literal(v) for v in values)

    def parameter(self, name: str) -> str:
        return f"${name}"

    def sql_type(self, prop: Property) -> str:
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

    def text_type(self) -> str:
        return "VARCHAR"

    def utf8(self, blob: str) -> str:
        return f"try(decode({blob}))"

    def hex(self, blob: str) -> str:
        return f"hex({blob})"

    def without_line_end(self, text: str) -> str:
        return f"rtrim({text}, E'\\r\\n')"

    def trimmed(self, text: str) -> str:
        # Trimming is dear and seldom needed. Nothing that begins or ends below '!' is left out: that is all white
        # space, and the empty text.
        needed = f"{text} < '!' OR {text}[-1] < '!'"
        return f"CASE WHEN {needed} THEN nullif(trim({text}, E' \\t\\r\\n'), '') ELSE {text} END"

    def matches(self, text: str, pattern: str) -> str:
        return f"regexp_full_match({text}, {self.literal(pattern)})"

    def contains(self, text: str, pattern: str) -> str:
        # In a group, so that RE2 looks for it: DuckDB would make LIKE of a simple one, and another text of (?i:)b.
        return f"regexp_matches({text}, {self.literal(f'({common_pattern(pattern)})')})"

    def is_json_object(self, text: str) -> str:
        return f"({self.json_object(text)} IS NOT NULL)"

    def json_object(self, text: str) -> str:
        """The text itself, or, when its numbers would suffer, a mark and the text with its scalars marked."""
        return self._json(text, "{")

    def json_texts(self, document: str, names: Sequence[str]) -> str:
        plain = self.texts([f"$.{name}" for name in names])
        with_marks = self.texts([f'$."{MARK}{name}"' for name in names])
        texts = f"json_extract_string({document}[2:], [{with_marks}])"
        return (
            f"CASE WHEN starts_with({document}, '{MARK}') "
            f"THEN list_transform({texts}, lambda _marked: {self._unmarked('_marked')}) "
            f"ELSE json_extract_string({document}, [{plain}]) END"
        )

    def json_rest(self, document: str, names: Sequence[str]) -> str:
        rest_of_marked = self._rest(f"{document}[2:]", [MARK + name for name in names])
        return (
            f"CASE WHEN starts_with({document}, '{MARK}') THEN {self._without_marks(rest_of_marked)} "
            f"ELSE {self._rest(document, names)} END"
        )

    def item(self, array: str, index: int) -> str:
        return f"{array}[{index + 1}]"

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
        condition, value = self.matches(text, form_of(prop)), f"try_cast({text} AS {kind})"
        if prop.logical_type in RANGES:
            least, most = (f"CAST('{bound}' AS {kind})" for bound in RANGES[prop.logical_type])
            condition += f" AND {value} BETWEEN {least} AND {most}"
        return f"CASE WHEN {condition} THEN {value} END"

    def hmac_sha256(self, text: str) -> str:
        inner = f"unhex(sha256({self.parameter('inner_pad')} || encode({text})))"
        return f"sha256({self.parameter('outer_pad')} || {inner})"

    def hours_between(self, earlier: str, later: str) -> str:
        start, end = (f"strptime({key}, '%Y-%m-%dT%H')" for key in (earlier, later))
        return f"date_diff('hour', {start}, {end})"

    def record(self, expressions: Sequence[str]) -> str:
        return f"row({', '.join(expressions)})"

    def least_by(self, value: str, order: str) -> str:
        return f"arg_min({value}, {order})"

    def named(self, name: str, value: str, expression: str) -> str:
        return f"list_transform([{value}], lambda {name}: {expression})[1]"

    def list_of(self, expressions: Sequence[str]) -> str:
        return f"list_sort(list_filter([{', '.join(expressions)}], lambda _reason: _reason IS NOT NULL))"

    def _json_array(self, text: str) -> str:
        items = "from_json({}, '[\"VARCHAR\"]')"
        with_marks = f"list_transform({items.format('_json[2:]')}, lambda _marked: {self._unmarked('_marked')})"
        found = f"CASE WHEN starts_with(_json, '{MARK}') THEN {with_marks} ELSE {items.format('_json')} END"
        # A list of one gives the text a name, so that it is looked at once.
        return f"list_transform([{self._json(text, '[')}], lambda _json: {found})[1]"

    def _json(self, text: str, opening: str) -> str:
        """``text`` when it is JSON that begins with ``opening``, with a mark and marked when its numbers need it."""
        # Valid JSON that begins with a bracket is an array: asking for its type would parse it a second time.
        valid = f"json_valid({text}) AND starts_with(ltrim({text}, E' \\t\\r\\n'), '{opening}')"
        doubtful = f"regexp_matches({text}, {self.literal(f'{_LENIENT}|{_INEXACT}')}) OR {self._may_be_deep(text)}"
        scalars_marked = (
            f"regexp_replace({text}, {self.literal(re2(SCALAR))}, {self.literal(marked(*_GROUPS[:2]))}, 'g')"
        )
        looked_at = (
            f"CASE WHEN {self._is_lenient(text)} OR {self._is_too_deep(text)} THEN NULL "
            f"WHEN regexp_matches({text}, {self.literal(_INEXACT)}) THEN '{MARK}' || {scalars_marked} ELSE {text} END"
        )
        return f"CASE WHEN NOT coalesce({valid}, false) THEN NULL WHEN {doubtful} THEN {looked_at} ELSE {text} END"

    def _is_lenient(self, json: str) -> str:
        without_strings = f"regexp_replace({json}, {self.literal(re2(STRING))}, '\"\"', 'g')"
        return (
            f"(regexp_matches({json}, {self.literal(_LENIENT)}) "
            f"AND regexp_matches({without_strings}, {self.literal(_LENIENT_OUTSIDE_STRINGS)}))"
        )

    def _may_be_deep(self, json: str) -> str:
        without_openings = f"replace(replace({json}, '[', ''), '{{', '')"
        return f"(strlen({json}) > {_SHORTEST_DEEP} AND strlen({json}) - strlen({without_openings}) > {DEEPEST})"

    def _is_too_deep(self, json: str) -> str:
        without_strings = f"regexp_replace({json}, {self.literal(re2(STRING))}, '\"\"', 'g')"
        brackets = f"regexp_replace({without_strings}, '[^\\[\\]{{}}]+', '', 'g')"
        steps = (
            f"list_transform(string_split({brackets}, ''), lambda _b: CASE WHEN _b IN ('[', '{{') THEN 1 ELSE -1 END)"
        )
        # One number holds both the present depth and, times _LEVELS, the greatest.
        step = f"greatest(_found // {_LEVELS}, _found % {_LEVELS} + _step) * {_LEVELS} + _found % {_LEVELS} + _step"
        deepest = f"list_reduce({steps}, lambda _found, _step: {step}, 0::BIGINT) // {_LEVELS}"
        return f"({self._may_be_deep(json)} AND {deepest} > {DEEPEST})"

    def _rest(self, document: str, names: Sequence[str]) -> str:
        # A merge patch (RFC 7396) that takes the named fields out.
        removal = "{" + ", ".join(f'"{n}":null' for n in names) + "}"
        rest = f"CAST(json_merge_patch({document}, {self.literal(removal)}) AS VARCHAR)"
        # Building the patched document is dear, and so is a look for names that come twice; few documents have a field
        # that is not named, nearly none has one twice, and most have all of them in one order.
        keys, known = f"json_keys({document})", f"[{self.texts(names)}]"
        paths = self.texts([f'$."{name}"' for name in names])
        found = f"list_sum(CAST(json_exists({document}, [{paths}]) AS INTEGER[]))"
        return (
            f"CASE WHEN {keys} = {known} OR len({keys}) = {found} THEN NULL "
            f"WHEN list_unique({keys}) < len({keys}) THEN {self._rest_of_repeated(document, keys, known)} "
            f"ELSE {rest} END"
        )

    def _rest_of_repeated(self, document: str, keys: str, known: str) -> str:
        # A merge patch would take out every field of a name.
        fields = f"list_zip({keys}, json_extract({document}, '$.*'))"
        is_rest = f"NOT list_contains({known}, _field[1]) OR list_position({keys}, _field[1]) < _place"
        members = (
            f"list_transform(list_filter({fields}, lambda _field, _place: {is_rest}), "
            f"lambda _field: to_json(_field[1])::VARCHAR || ':' || _field[2]::VARCHAR)"
        )
        return f"'{{' || nullif(array_to_string({members}, ','), '') || '}}'"

    def _unmarked(self, text: str) -> str:
        return (
            f"CASE WHEN starts_with({text}, '{MARK}') THEN {text}[2:] "
            f"WHEN left({text}, 1) IN ('{{', '[') THEN {self._without_marks(text)} ELSE rtrim({text}, '{MARK}') END"
        )

    def _without_marks(self, json: str) -> str:
        return f"regexp_replace({json}, {self.literal(re2(MARKED_SCALAR))}, {self.literal(''.join(_GROUPS))}, 'g')"
