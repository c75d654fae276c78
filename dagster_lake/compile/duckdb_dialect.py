"""Contracts' primitives as DuckDB spells them; what each means is said in ``dialect.Dialect``."""

from collections.abc import Sequence

from dagster_lake.compile.dialect import RANGES, form_of
from dagster_lake.contract import Property


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
        return f"regexp_matches({text}, {self.literal(pattern)})"

    def is_json_object(self, text: str) -> str:
        # Valid JSON that begins with a brace is an object: asking for its type would parse it a second time.
        return f"coalesce(json_valid({text}) AND starts_with(ltrim({text}, E' \\t\\r\\n'), '{{'), false)"

    def json_object(self, text: str) -> str:
        return f"CASE WHEN {self.is_json_object(text)} THEN {text} END"

    def json_texts(self, document: str, names: Sequence[str]) -> str:
        return f"json_extract_string({document}, [{self.texts(['$.' + n for n in names])}])"

    def json_rest(self, document: str, names: Sequence[str]) -> str:
        # A merge patch (RFC 7396) that takes the named fields out.
        removal = "{" + ", ".join(f'"{n}":null' for n in names) + "}"
        rest = f"CAST(json_merge_patch({document}, {self.literal(removal)}) AS VARCHAR)"
        # Building the patched document is dear, and few documents have a field that is not named.
        return f"CASE WHEN NOT list_has_all([{self.texts(names)}], json_keys({document})) THEN {rest} END"

    def item(self, array: str, index: int) -> str:
        return f"{array}[{index + 1}]"

    def try_cast(self, text: str, prop: Property) -> str:
        kind = self.sql_type(prop)
        if prop.logical_type == "string":
            return text
        if prop.logical_type == "array":
            return f"try(from_json({text}, '[\"VARCHAR\"]'))"
        if prop.logical_type == "boolean":
            return f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END"
        condition, value = self.matches(text, form_of(prop)), f"try_cast({text} AS {kind})"
        if prop.logical_type in RANGES and prop.precision is None:
            least, most = (f"CAST('{bound}' AS {kind})" for bound in RANGES[prop.logical_type])
            condition += f" AND {value} BETWEEN {least} AND {most}"
        return f"CASE WHEN {condition} THEN {value} END"

    def hmac_sha256(self, text: str) -> str:
        inner = f"unhex(sha256({self.parameter('inner_pad')} || encode({text})))"
        return f"sha256({self.parameter('outer_pad')} || {inner})"

    def hours_between(self, earlier: str, later: str) -> str:
        start, end = (f"strptime({key}, '%Y-%m-%dT%H')" for key in (earlier, later))
        return f"date_diff('hour', {start}, {end})"

    def list_of(self, expressions: Sequence[str]) -> str:
        return f"list_sort(list_filter([{', '.join(expressions)}], lambda reason: reason IS NOT NULL))"
