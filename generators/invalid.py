"""Rows that are well-formed JSON and break one or more rules: which fields go wrong, and the reasons expected."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from generators.columns import each_text, take
from generators.counter import Ints, below, stream
from generators.json_text import Fields
from generators.picks import fresh_keys
from generators.world import World


@dataclass(frozen=True)
class Fault:
    """All the reasons, sorted, and the bad fields as JSON text: None leaves a field out, '{}' is the fresh key."""

    reasons: list[str]
    bad: dict[str, str | None] = field(default_factory=dict)


_NO_USER = Fault(["user_id:required"], {"user_id": None})
_ID_TEXT = Fault(["id:type"], {"id": '"x{}"'})
_ID_NULL = Fault(["id:required"], {"id": "null"})

_FAULTS = {
    "users": [_ID_TEXT, _ID_NULL],
    "vip_users": [_ID_TEXT, _ID_NULL],
    "products": [
        _ID_TEXT,
        Fault(["price:minimum"], {"price": "-1"}),
        Fault(["price:type"], {"price": '"free"'}),
        Fault(["id:type", "price:minimum"], {"id": '"x{}"', "price": "-1"}),
    ],
    "pageviews": [
        _NO_USER,
        Fault(["user_id:type"], {"user_id": '"x1"'}),
        Fault(["latency:type"], {"latency": '"abc"'}),
        Fault(["latency:minimum"], {"latency": "-5"}),
        Fault(["latency:maximum"], {"latency": "60001"}),
        Fault(["http_method:enum"], {"http_method": '"FETCH"'}),
        Fault(["http_method:enum", "latency:type"], {"http_method": '"FETCH"', "latency": '"abc"'}),
        Fault(
            ["http_method:enum", "latency:minimum", "user_id:required"],
            {"http_method": '"FETCH"', "latency": "-5", "user_id": None},
        ),
    ],
    "stars": [
        _NO_USER,
        Fault(["user_id:type"], {"user_id": '"x1"'}),
        Fault(["stars:maximum"], {"stars": "9"}),
        Fault(["stars:minimum"], {"stars": "0"}),
        Fault(["stars:type"], {"stars": '"five"'}),
        Fault(["stars:maximum", "user_id:required"], {"stars": "9", "user_id": None}),
    ],
}


def faults_of(world: World, data_set: str, rows: Ints) -> tuple[list[Fault], Ints]:
    """The data set's faults, and which one the invalid row derived from each row has."""
    faults = _FAULTS[data_set]
    return faults, below(stream(world.seed, data_set, "dirt", "fault"), rows, len(faults))


def spoiled(world: World, data_set: str, rows: Ints, clean: Fields) -> list[tuple[Ints, Fields]]:
    """The fields of the invalid rows derived from `rows`, by fault: (places in `rows`, their fields)."""
    faults, which = faults_of(world, data_set, rows)
    fresh = fresh_keys(world, data_set, rows)
    groups = []
    for number, fault in enumerate(faults):
        places = np.flatnonzero(which == number)
        groups.append((places, _with_fault(fault, take(fresh, places), _taken(clean, places))))
    return groups


def invalid_keys(world: World, data_set: str, rows: Ints) -> pa.Array:
    """The key, as text, that the invalid row derived from each row carries; null where it carries none."""
    faults, which = faults_of(world, data_set, rows)
    fresh = fresh_keys(world, data_set, rows)
    templates = [fault.bad.get("id") or "{}" for fault in faults]
    spelled = [
        pa.nulls(len(rows), pa.string()) if template == "null" else each_text(template.strip('"'), fresh)
        for template in templates
    ]
    return take(pa.concat_arrays(spelled), which * len(rows) + np.arange(len(rows)))


def _with_fault(fault: Fault, fresh: pa.Array, clean: Fields) -> Fields:
    key = next(iter(clean))
    fields: Fields = {**clean, key: ['"', fresh, '"'] if key == "event_id" else [fresh]}
    for name, text in fault.bad.items():
        if text is None:
            del fields[name]
        elif "{}" in text:
            fields[name] = [each_text(text, fresh)]
        else:
            fields[name] = [pa.repeat(text, len(fresh))]
    return fields


def _taken(fields: Fields, places: Ints) -> Fields:
    return {
        name: [piece if isinstance(piece, str) else take(piece, places) for piece in pieces]
        for name, pieces in fields.items()
    }
