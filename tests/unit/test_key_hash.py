"""A key's partition is the same everywhere, and keys spread over the partitions."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.sources.event_hub.key_hash import KEY_BYTES, key_partitions


def fnv_1a(key: str | None) -> int:
    value = 0xCBF29CE484222325
    for byte in (key or "").encode()[:KEY_BYTES]:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value ^ (value >> 32)


@given(st.lists(st.none() | st.text(max_size=150)), st.integers(0, 5), st.integers(1, 2_000))
def test_every_key_has_the_partition_that_the_plain_loop_gives_it(
    keys: list[str | None], offset: int, partitions: int
) -> None:
    array = pa.array(keys, pa.string()).slice(offset)
    assert key_partitions(array, partitions).tolist() == [fnv_1a(key) % partitions for key in keys[offset:]]


def test_partitions_of_known_keys_never_change() -> None:
    assert key_partitions(pa.array(["", "1", "42", "user-7", "žluťoučký"]), 4).tolist() == [1, 0, 0, 0, 1]


def test_numbers_as_keys_spread_evenly() -> None:
    counts = np.bincount(key_partitions(pa.array([str(i) for i in range(10_000)]), 4))
    assert counts.min() > 2_300
