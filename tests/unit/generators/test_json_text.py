"""JSON built by columns is the JSON that json.loads reads back."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from generators.json_text import fields_of, objects, truncated

printable = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]))


@given(st.lists(st.tuples(st.none() | printable, printable, printable, printable), min_size=1, max_size=20))
def test_any_printable_text_survives(rows):
    batch = pa.record_batch(
        {
            "text": pa.array([row[0] for row in rows], pa.string()),
            "list": pa.array([list(row[1:]) for row in rows], pa.list_(pa.string())),
        }
    )
    assert [json.loads(text) for text in objects(fields_of(batch)).to_pylist()] == batch.to_pylist()


def test_numbers_are_exact_and_times_are_iso_with_a_zone():
    batch = pa.record_batch(
        {
            "n": pa.array([2**60], pa.int64()),
            "price": pa.array([Decimal("1234567.10")], pa.decimal128(10, 2)),
            "at": pa.array([datetime(2026, 1, 1, 13, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
        }
    )
    expected = '{"n":1152921504606846976,"price":1234567.10,"at":"2026-01-01T13:00:00.000000Z"}'
    assert objects(fields_of(batch)).to_pylist() == [expected]


@given(st.lists(st.tuples(printable.filter(bool), st.floats(0, 1, exclude_max=True)), min_size=1), st.integers(0, 3))
def test_a_truncated_text_is_a_proper_beginning_and_valid_utf8(rows, skip):
    texts = pa.array([text for text, _ in rows])[min(skip, len(rows) - 1) :]
    kept = rows[min(skip, len(rows) - 1) :]
    lengths = np.array([int(share * len(text.encode())) for text, share in kept])
    cut = truncated(texts, lengths)
    cut.validate(full=True)
    for (text, _), short, length in zip(kept, cut.to_pylist(), lengths.tolist(), strict=True):
        assert text.startswith(short)
        assert short != text
        assert length - 3 <= len(short.encode()) <= length
