"""Arrow columns from numpy arrays without a Python loop over rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from generators.counter import Ints, bits

UTC_TIME = pa.timestamp("us", tz="UTC")

_TWO_HEX_DIGITS = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8).view(np.uint16)[:, 0]
_UUID_GROUPS = ((0, 8), (9, 13), (14, 18), (19, 23), (24, 36))


# The type stubs published for pyarrow refuse many valid calls, so values of theirs pass through `Any` here.


def required(name: str, kind: Any) -> Any:
    """A field that is never null."""
    return pa.field(name, kind, nullable=False)


def optional(name: str, kind: Any) -> Any:
    """A field that may be null."""
    return pa.field(name, kind)


def take(values: Any, places: Ints) -> pa.Array:
    """The values at the given places, in that order."""
    return values.take(pa.array(places))


def chunks(start: int, stop: int, size: int) -> Iterator[Ints]:
    """The row numbers start..stop-1 in arrays of at most `size`."""
    if not 0 <= start <= stop:
        raise ValueError(f"rows {start}..{stop} are not a range: start_row must be 0 or more and not above stop_row")
    if size < 1:
        raise ValueError(f"batch_rows is {size}: give 1 or more")
    for low in range(start, stop, size):
        yield np.arange(low, min(low + size, stop), dtype=np.int64)


def times(microseconds: Ints) -> pa.Array:
    """Microseconds since 1970 as UTC timestamps."""
    return pa.array(microseconds).cast(UTC_TIME)


def decimals(hundredths: Ints, precision: int) -> pa.Array:
    """Whole hundredths as decimal(precision, 2), exactly."""
    words = np.empty((len(hundredths), 2), dtype=np.int64)
    words[:, 0] = hundredths
    words[:, 1] = hundredths >> 63
    return pa.Array.from_buffers(pa.decimal128(precision, 2), len(words), [None, _buffer(words)])


def digits(numbers: Ints, width: int) -> pa.Array:
    """Non-negative integers as text with leading zeros, exactly `width` characters each."""
    text = np.empty((len(numbers), width), dtype=np.uint8)
    rest = numbers
    for at in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, at] = digit + ord("0")
    return fixed_text(text)


def uuids(high_key: np.uint64, low_key: np.uint64, index: Ints) -> pa.Array:
    """A version-4 UUID text for every counter."""
    words = np.empty((len(index), 2), dtype=">u8")
    words[:, 0] = (bits(high_key, index) & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
    words[:, 1] = (bits(low_key, index) >> np.uint64(2)) | np.uint64(0x8000000000000000)
    digit = _TWO_HEX_DIGITS[words.view(np.uint8)].view(np.uint8)
    text = np.full((len(index), 36), ord("-"), dtype=np.uint8)
    for dashes, (start, stop) in enumerate(_UUID_GROUPS):
        text[:, start:stop] = digit[:, start - dashes : stop - dashes]
    return fixed_text(text)


def fixed_text(characters: npt.NDArray[np.uint8]) -> pa.Array:
    """A matrix of ASCII codes, one row per value, as a text column."""
    count, width = characters.shape
    return text_column(np.arange(count + 1) * width, np.ascontiguousarray(characters))


def text_column(offsets: Ints, characters: npt.NDArray[np.uint8]) -> pa.Array:
    """A text column from where each value begins (and the last ends) in UTF-8 bytes."""
    return pa.StringArray.from_buffers(len(offsets) - 1, _buffer(offsets.astype(np.int32)), _buffer(characters))


def text_bytes(text: Any) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Where each value of a text column begins (and the last ends), and all its UTF-8 bytes; no copy of the bytes."""
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    content = np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]]
    return ends - ends[0], content


def join(*parts: Any) -> pa.Array:
    """Text columns and constants side by side; a null part makes the value null."""
    return pc.binary_join_element_wise(*parts, "")


def text_of(numbers: Ints) -> pa.Array:
    """Whole numbers as text."""
    return pa.array(numbers).cast(pa.string())


def triples(first: pa.Array, second: pa.Array, third: pa.Array) -> pa.Array:
    """A list column of three values per row."""
    count = len(first)
    by_row = np.arange(3 * count).reshape(3, count).T.ravel()
    values = take(pa.concat_arrays([first, second, third]), by_row)
    ends: Any = pa.array(np.arange(0, 3 * count + 1, 3, dtype=np.int32))
    return pa.ListArray.from_arrays(ends, values)


def each_text(template: str, values: pa.Array) -> pa.Array:
    """`template` with '{}' replaced by every value."""
    head, _, tail = template.partition("{}")
    return join(head, values, tail)


def _buffer(content: Any) -> pa.Buffer:
    return pa.py_buffer(content)
