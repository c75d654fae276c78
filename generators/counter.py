"""Random numbers by counter: value *i* of a stream is a pure function of (seed, stream name, i).

Nothing here keeps state, so any range, in any chunking, on any machine gives the same numbers.
The mixer is the finaliser of splitmix64 over whole numpy arrays. Only integer arithmetic and IEEE
multiplication and division are used: `log` or `cos` may differ in the last bit from one CPU to another.
"""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_PER_UNIT = 2.0**-53


@lru_cache(maxsize=4096)
def stream(seed: int, *names: str) -> np.uint64:
    """The key of one independent stream of numbers, e.g. `stream(42, "users", "city")`."""
    text = "\x1f".join((str(seed), *names)).encode()
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))


def bits(key: np.uint64, index: Ints) -> Bits:
    """64 random bits for every counter in `index`."""
    z = index.astype(np.uint64)
    z *= _GOLDEN
    z += key
    z ^= z >> np.uint64(30)
    z *= _MIX_1
    z ^= z >> np.uint64(27)
    z *= _MIX_2
    z ^= z >> np.uint64(31)
    return z


def uniform(key: np.uint64, index: Ints) -> npt.NDArray[np.float64]:
    """A float in [0, 1) for every counter."""
    return (bits(key, index) >> np.uint64(11)).astype(np.float64) * _PER_UNIT


def below(key: np.uint64, index: Ints, bound: int | Ints) -> Ints:
    """An integer in 0..bound-1 for every counter; `bound` (one, or one per counter) is at most 2**32."""
    high = bits(key, index) >> np.uint64(32)
    return ((high * np.asarray(bound, dtype=np.uint64)) >> np.uint64(32)).astype(np.int64)


def chance(key: np.uint64, index: Ints, rate: float) -> Bools:
    """True for a share `rate` of the counters."""
    if rate <= 0.0:
        return np.zeros(len(index), dtype=np.bool_)
    return uniform(key, index) < rate


def few_are_popular(key: np.uint64, index: Ints, count: int, knee: float = 0.05) -> Ints:
    """A rank in 0..count-1 for every counter, rank 0 the likeliest: density falls as 1 / (rank + knee*count)**2.

    With the default knee the first 10% of the ranks are drawn 70% of the time and the first 20% are drawn 84%.
    """
    u = uniform(key, index)
    rank = (count * knee * u / (1.0 + knee - u)).astype(np.int64)
    return np.minimum(rank, count - 1)


def permute(key: np.uint64, index: Ints, count: int) -> Ints:
    """A pseudo-random one-to-one map of 0..count-1 onto itself, evaluated only where asked.

    The mixer is one-to-one on the next power of two; values that fall outside are mixed again until they fit.
    """
    width = max(2, (count - 1).bit_length())
    out = _mix_within(key, index.astype(np.uint64), width)
    outside = np.flatnonzero(out >= count)
    while len(outside):
        out[outside] = _mix_within(key, out[outside], width)
        outside = outside[out[outside] >= count]
    return out.astype(np.int64)


def _mix_within(key: np.uint64, value: Bits, width: int) -> Bits:
    mask = np.uint64((1 << width) - 1)
    half = np.uint64((width + 1) // 2)
    for turn in range(3):
        offset = np.uint64((int(key) >> (turn * 16)) & int(mask))
        value = (value * _MIX_1 + offset) & mask
        value ^= value >> half
    return value
