"""What leaves a source as text: the JSON lines of some rows, with their dirt."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from generators.catalog import EVENTS, ArrivingRows, TextRows
from generators.columns import take, text_bytes, times
from generators.counter import Ints, below, stream
from generators.dials import Dirt, Kind
from generators.invalid import spoiled
from generators.json_text import fields_of, objects, truncated
from generators.picks import copies, lateness, touched
from generators.world import World

GOOD, COPY, MALFORMED, INVALID = range(4)

_UNKNOWN_FIELD = pa.array(
    [
        ',"referrer":"https://www.example.com/"',
        ',"referrer":"https://news.example.org/letter?id=7"',
        ',"referrer":{"campaign":"spring","medium":"mail"}',
    ]
)
_GARBAGE = pa.array(["ERROR 502 upstream timed out", "<html><body>Bad Gateway</body></html>", "%%%%", "undefined"])


@dataclass(frozen=True)
class Lines:
    """Lines in order. `places` is where in the asked rows each belongs, `rows` the clean row it derives from."""

    text: pa.Array
    kinds: Ints
    places: Ints
    rows: Ints


def lines_of(world: World, source: TextRows, rows: Ints, dirt: Dirt) -> Lines:
    """Every line that comes with `rows`: the row itself, then a copy of an earlier one, a broken and an invalid one."""
    good = _good(world, source, rows, dirt)
    copied_at, copied = copies(world, source, dirt, rows)
    malformed_at = np.flatnonzero(touched(world, source.NAME, Kind.MALFORMED, dirt, rows))
    invalid_at = np.flatnonzero(touched(world, source.NAME, Kind.INVALID_VALUE, dirt, rows))
    everywhere = np.arange(len(rows), dtype=np.int64)
    extras = [copied_at, malformed_at, invalid_at]
    if not any(map(len, extras)):
        return Lines(good, np.full(len(rows), GOOD), everywhere, rows)

    text = pa.concat_arrays(
        [
            good,
            _good(world, source, copied, dirt),
            _malformed(world, source.NAME, rows[malformed_at], take(good, malformed_at)),
            _invalid(world, source, rows[invalid_at]),
        ]
    )
    kinds = np.repeat([GOOD, COPY, MALFORMED, INVALID], [len(rows), *map(len, extras)])
    places = np.concatenate([everywhere, *extras])
    origins = np.concatenate([rows, copied, rows[malformed_at], rows[invalid_at]])
    order = np.argsort(places, kind="stable")
    return Lines(take(text, order), kinds[order], places[order], origins[order])


def _good(world: World, source: TextRows, rows: Ints, dirt: Dirt) -> pa.Array:
    """The rows' own lines, including dirt that alters but does not add."""
    name = source.NAME
    batch = source.rows_at(world, rows)
    if name in EVENTS:
        late = touched(world, name, Kind.LATE, dirt, rows)
        if late.any():
            events = cast(ArrivingRows, source)
            back_dated = events.arrivals(world, rows) - lateness(world, name, rows)
            event_times = times(np.where(late, back_dated, events.event_times(world, rows)))
            batch = batch.set_column(batch.schema.get_field_index("event_time"), "event_time", event_times)
    empty = touched(world, name, Kind.EMPTY_CLIENT_IP, dirt, rows)
    if empty.any():
        emptied = pc.if_else(pa.array(empty), "", batch.column("client_ip"))
        batch = batch.set_column(batch.schema.get_field_index("client_ip"), "client_ip", emptied)
    unknown = touched(world, name, Kind.UNKNOWN_FIELD, dirt, rows)
    if not unknown.any():
        return objects(fields_of(batch))
    fields = take(_UNKNOWN_FIELD, below(stream(world.seed, name, "dirt", "unknown"), rows, len(_UNKNOWN_FIELD)))
    return objects(fields_of(batch), more=pc.if_else(pa.array(unknown), fields, ""))


def _malformed(world: World, data_set: str, rows: Ints, good: pa.Array) -> pa.Array:
    """For each row a text that is no JSON object: mostly a truncated copy, sometimes a lost colon or garbage."""
    sizes = np.diff(text_bytes(good)[0])
    cut = truncated(good, 1 + below(stream(world.seed, data_set, "dirt", "cut"), rows, sizes - 1))
    no_colon = pc.replace_substring(good, ":", " ", max_replacements=1)
    garbage = take(_GARBAGE, below(stream(world.seed, data_set, "dirt", "garbage"), rows, len(_GARBAGE)))
    shape = np.array([0, 0, 0, 1, 2])[below(stream(world.seed, data_set, "dirt", "shape"), rows, 5)]
    at = shape * len(rows) + np.arange(len(rows))
    return take(pa.concat_arrays([cut, no_colon, garbage]), at)


def _invalid(world: World, source: TextRows, rows: Ints) -> pa.Array:
    groups = spoiled(world, source.NAME, rows, fields_of(source.rows_at(world, rows)))
    texts = pa.concat_arrays([objects(fields) for _, fields in groups])
    return take(texts, np.argsort(np.concatenate([places for places, _ in groups])))
