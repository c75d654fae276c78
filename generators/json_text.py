"""JSON text of Arrow rows, built column by column."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from generators.columns import join, take, text_bytes, text_column
from generators.counter import Ints

Pieces = list[pa.Array | str]
"""The JSON text of a column's values, as text columns and constants to put side by side."""

Fields = dict[str, Pieces]
"""The values of each field, in the order in which the object lists them."""


def fields_of(batch: pa.RecordBatch) -> Fields:
    """The fields of some rows. Text must be free of control characters; lists hold three texts each."""
    return {name: _values(batch.column(name)) for name in batch.schema.names}


def objects(fields: Fields, more: pa.Array | str = "") -> pa.Array:
    """One JSON object per row; `more` is text to put after the last field."""
    pieces: Pieces = []
    for name, values in fields.items():
        pieces += [f'{"," if pieces else "{"}"{name}":', *values]
    return join(*_with_constants_merged([*pieces, more, "}"]))


def truncated(text: pa.Array, lengths: Ints) -> pa.Array:
    """Each text cut after `lengths` bytes, or a few fewer so as not to cut a character in two."""
    ends, content = text_bytes(text)
    cuts = ends[:-1] + lengths
    for _ in range(3):
        cuts -= (content[cuts] & 0xC0) == 0x80
    kept = content[np.arange(len(content)) < np.repeat(cuts, np.diff(ends))]
    return text_column(np.concatenate([[0], np.cumsum(cuts - ends[:-1])]), kept)


def _values(column: Any) -> Pieces:
    kind = column.type
    if pa.types.is_string(kind):
        if column.null_count:
            quoted: Any = join('"', _escaped(column), '"')
            return [pc.fill_null(quoted, "null")]
        return ['"', _escaped(column), '"']
    if pa.types.is_list(kind):
        texts = _escaped(column.flatten())
        first, second, third = (take(texts, np.arange(place, len(texts), 3)) for place in range(3))
        return ['["', first, '","', second, '","', third, '"]']
    if pa.types.is_timestamp(kind):
        # Cast without the zone: formatting with one needs a time zone database, which small images lack.
        naive = column.cast(pa.timestamp("us")).cast(pa.string())
        return ['"', pc.replace_substring(naive, " ", "T", max_replacements=1), 'Z"']
    return [column.cast(pa.string())]


def _escaped(column: Any) -> Any:
    content = text_bytes(column)[1].tobytes()
    if b'"' not in content and b"\\" not in content:
        return column
    return pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')


def _with_constants_merged(pieces: Pieces) -> Pieces:
    """Neighbouring constants as one: every part of a join costs time for every row."""
    merged: Pieces = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged
