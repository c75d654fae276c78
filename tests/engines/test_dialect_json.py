"""JSON is read the same on every engine: what is malformed, and the text of every field."""

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import Property
from tests.engines.dialects import DuckDBSide, Side, SparkSide
from tests.engines.hard_json import JSON, NO_UTF_8, NOT_JSON
from tests.engines.json_model import NAMES, Lines, Members, bronze_of, parsed
from tests.unit.compiled import events, line_rows

CONTRACT = events([Property(name, "string", "d") for name in NAMES if name != "event_id"])
COLUMNS = (*NAMES, "_rescued_data")


def differences(side: Side, bodies: list[bytes]) -> list[tuple[bytes, dict[str, str | None], dict[str, str | None]]]:
    """The lines of which bronze does not hold what the model says: line, bronze, model."""
    rows = sorted(side.bronze(CONTRACT, line_rows(bodies)), key=lambda row: row["_sequence_number"])
    assert len(rows) == len(bodies)
    found = [{name: row[name] for name in COLUMNS} for row in rows]
    wanted = [bronze_of(body) for body in bodies]
    return [d for d in zip(bodies, found, wanted, strict=True) if d[1] != d[2]][:5]


@pytest.mark.parametrize("lines", [NOT_JSON, JSON], ids=["malformed", "well-formed"])
def test_hard_lines(side: Side, lines: list[str]) -> None:
    assert [isinstance(parsed(line), Members) for line in lines] == [lines is JSON] * len(lines), "the model itself"
    assert differences(side, [line.encode() for line in lines]) == []


def test_bytes_that_are_no_utf_8_are_kept_as_hexadecimal(side: Side) -> None:
    assert differences(side, NO_UTF_8) == []


def test_the_thousandth_level_is_read_and_the_next_is_malformed(side: Side) -> None:
    def line(levels: int, opening: str, closing: str) -> bytes:
        return ('{"a":' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}").encode()

    shapes = [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")]
    found = side.bronze(CONTRACT, line_rows([line(n, *shape) for n in (500, 1000, 1001, 5000) for shape in shapes[:2]]))
    read = {row["_sequence_number"]: row["a"] is not None for row in found}
    assert [read[n] for n in range(8)] == [True] * 4 + [False] * 4
    pairs = side.bronze(CONTRACT, line_rows([line(500, *shapes[2]), line(502, *shapes[2])]))
    assert sorted((row["_sequence_number"], row["a"] is not None) for row in pairs) == [(0, True), (1, False)]


def test_long_names_texts_and_numbers_come_through(side: Side) -> None:
    bodies = [
        b'{"a":"%s"}' % (b"x\\n" * 300_000),
        b'{"a":[%s]}' % (b'"\\\\", ' * 100_000 + b"1"),
        b'{"a":%s,"b":[-%s.50]}' % (b"9" * 20_000, b"7" * 20_000),
        b'{"%s":1}' % (b"n" * 40_000),
        b'{"a":[%s]}' % (b"[{}]," * 50_000 + b"1.10"),
    ]
    assert [len(body) for body, _, _ in differences(side, bodies)] == []


# Shrinking a seed tells nothing; the difference itself is shown.
QUIET = {"deadline": None, "phases": [Phase.explicit, Phase.reuse, Phase.generate]}


@settings(max_examples=25, **QUIET)
@given(st.integers(0, 2**32))
def test_drawn_lines_on_duckdb(seed: int) -> None:
    assert differences(DuckDBSide(), Lines(Random(seed)).lines(200)) == []


def test_drawn_lines_on_spark(spark_side: SparkSide) -> None:
    @settings(max_examples=3, **QUIET)
    @given(st.integers(0, 2**32))
    def hold(seed: int) -> None:
        assert differences(spark_side, Lines(Random(seed)).lines(300)) == []

    hold()
