"""Which masking keys a lake has used, by their ids, so that one that was lost is not silently followed by another.

The ids stand in ``lake.json``; no key does. Values that two keys masked never join: taking another key is a decision.
"""

import re

from dagster_lake.errors import LakeError
from dagster_lake.storage.marker import Content, change_marker, read_marker
from dagster_lake.storage.paths import Lake

_FIELD = "masking_keys"
_MASKED = re.compile(r"([A-Za-z0-9_.-]{1,32}):[0-9a-f]{64}")
_LOOKED_AT = 1000
"""Rows of a table that are looked at, once, in a lake that has no list of keys."""


class MaskingKeyError(LakeError):
    """The masking key is missing, too short or not the lake's; the message says what to do."""


def registered(lake: Lake) -> list[str] | None:
    """The ids of the keys that the lake has used, oldest first; None where none was noted yet."""
    text = read_marker(lake.root)
    found = None if text is None else lake.content_of(text).get(_FIELD)
    return found if found is None else [str(one) for one in found]


def require_registered(lake: Lake, key_id: str) -> None:
    """Raises MaskingKeyError when values are masked by another key than ``key_id``, which nobody has accepted.

    A lake's first key is noted as its own, unless silver shows values of another.
    """
    known = registered(lake)
    if known is None:
        known = _noted(lake, key_id, (_held(lake) - {key_id}))
    if key_id not in known:
        raise MaskingKeyError(
            f"the masking key is {key_id!r}, and the values in {lake.root} are masked by {', '.join(known)}: values "
            "of two keys never join. Bring the key back (a copy of sources/pii.key, or LAKE_PII_KEY and "
            "LAKE_PII_KEY_ID as they were); to go on with this one, run `lake keys accept` and make silver again "
            "(docs/operations.md, Change the masking key)"
        )


def accept(lake: Lake, key_id: str) -> None:
    """Notes ``key_id`` as a key of the lake's, the newest."""
    change_marker(lake.root, lambda content: _with(content, [*_ids(content), key_id], key_id))


def _noted(lake: Lake, key_id: str, others: set[str]) -> list[str]:
    wanted = sorted(others) or [key_id]
    change_marker(lake.root, lambda content: None if _ids(content) else _with(content, wanted, *wanted))
    found = registered(lake)
    return [key_id] if found is None else found  # a folder that is no lake keeps no list


def _ids(content: Content | None) -> list[str]:
    return list((content or {}).get(_FIELD) or [])


def _with(content: Content | None, ids: list[str], *wanted: str) -> Content | None:
    if content is None or set(wanted) <= set(_ids(content)):
        return None
    return {**content, _FIELD: ids}


def _held(lake: Lake) -> set[str]:
    """The ids that masked values in silver begin with."""
    import pyarrow as pa

    from dagster_lake.storage.delta.write import pin
    from dagster_lake.storage.listing import tables

    found = set()
    for table in (table for table in tables(lake) if table.layer == "silver"):
        pinned = pin(table.uri)
        if pinned is None:
            continue
        texts = [field.name for field in pinned.schema if pa.types.is_string(field.type)]
        head = pinned.table.to_pyarrow_dataset().head(_LOOKED_AT, columns=texts)
        for column in head.columns:
            masked = (_MASKED.fullmatch(value) for value in column.unique().to_pylist() if value)
            found |= {match[1] for match in masked if match}
    return found
