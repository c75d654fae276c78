"""The keys of the last hours' events, small enough to be held in memory: 8 bytes a key."""

from datetime import datetime

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


class KnownKeys:
    """Which keys occurred in which lake hour.

    A key is a hash of 64 bits. Two keys of the same hash are taken for one: at 1,000 new keys a second and 24 hours
    held, once in about seven years.
    """

    def __init__(self) -> None:
        self._chunks: dict[datetime, list[Hashes]] = {}

    def add(self, hour: datetime, keys: Hashes) -> None:
        """Adds keys that occurred in ``hour``."""
        if not len(keys):
            return
        chunks = self._chunks.setdefault(hour, [])
        chunks.append(np.sort(keys))
        # Sorted chunks, each less than half as large as the one before: few to look into, and few to be merged.
        while len(chunks) > 1 and 2 * len(chunks[-1]) >= len(chunks[-2]):
            last = chunks.pop()
            chunks[-1] = np.sort(np.concatenate([chunks[-1], last]), kind="stable")

    def occurred(self, keys: Hashes, since: datetime) -> npt.NDArray[np.bool_]:
        """For each key, whether it occurred in the hour ``since`` or later."""
        found = np.zeros(len(keys), np.bool_)
        for hour, chunks in self._chunks.items():
            if hour >= since:
                for chunk in chunks:
                    place = np.searchsorted(chunk, keys)
                    found |= chunk[np.minimum(place, len(chunk) - 1)] == keys
        return found

    def forget(self, before: datetime) -> None:
        """Forgets the hours before ``before``."""
        self._chunks = {hour: chunks for hour, chunks in self._chunks.items() if hour >= before}

    def __len__(self) -> int:
        return sum(len(chunk) for chunks in self._chunks.values() for chunk in chunks)
