"""Which partition a key belongs to: the same answer in every process, version and batch size."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

KEY_BYTES = 128
"""How much of a key counts, as in Azure Event Hubs, whose keys are at most 128 characters long."""


def key_partitions(keys: pa.Array, partitions: int) -> npt.NDArray[np.int16]:
    """The partition (0 to ``partitions`` - 1) of each key; a null is the empty key.

    FNV-1a over the keys' UTF-8 bytes, one vector operation per byte position rather than one step per row.
    """
    keys = keys.cast(pa.binary())
    if not len(keys):
        return np.empty(0, np.int16)
    _, offset_bytes, key_bytes = keys.buffers()
    offsets = np.frombuffer(memoryview(offset_bytes or b""), np.int32)[keys.offset : keys.offset + len(keys) + 1]
    data = np.frombuffer(memoryview(key_bytes or b""), np.uint8)
    starts = offsets[:-1].astype(np.int64)
    lengths = np.minimum(np.diff(offsets), KEY_BYTES)
    if keys.null_count:
        lengths = np.where(keys.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    hashes = np.full(len(keys), 0xCBF29CE484222325, np.uint64)
    longest = int(lengths.max(initial=0))
    for position in range(longest):
        rows = np.flatnonzero(lengths > position)
        byte = data[starts[rows] + position].astype(np.uint64)
        hashes[rows] = (hashes[rows] ^ byte) * np.uint64(0x100000001B3)
    # The low bits of FNV-1a mix poorly for short keys, so the high half is folded in.
    return ((hashes ^ (hashes >> np.uint64(32))) % np.uint64(partitions)).astype(np.int16)
