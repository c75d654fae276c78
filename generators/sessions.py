"""Who is browsing: pageview rows grouped into sessions of one user, each row computable on its own.

Rows interleave a number of lanes, as many as give one view about every 10 s in each. A lane is cut into blocks of
32 views and each block into sessions by one of 64 prepared cuts, chosen by hash. So a row finds its session,
and a session its last row, in constant time.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from generators.counter import Ints, below, few_are_popular, permute, stream
from generators.world import World

BLOCK = 32
LONGEST = 30
_CUTS = 64
_PAUSE_SECONDS = 10
_NAME = "sessions"


@dataclass(frozen=True)
class Cuts:
    """For each cut (row) and place in the block (column), where that place's session begins and ends (inclusive)."""

    first: Ints
    last: Ints


def lanes(world: World) -> int:
    """How many sessions are open at once."""
    return max(1, round(world.pageviews_per_hour * _PAUSE_SECONDS / 3_600))


def session_of(world: World, rows: Ints) -> Ints:
    """A number for each pageview row's session, equal for the views of one session and no others."""
    lane_count = lanes(world)
    step, lane = np.divmod(rows, lane_count)
    block, place = np.divmod(step, BLOCK)
    pair = block * lane_count + lane
    return pair * BLOCK + _cuts().first[_cut_of(world, pair), place]


def last_row(world: World, pair: Ints, place: Ints) -> Ints:
    """The last pageview row of the session at `place` of the pair-th (block, lane)."""
    block, lane = np.divmod(pair, lanes(world))
    last = _cuts().last[_cut_of(world, pair), place]
    return (block * BLOCK + last) * lanes(world) + lane


def user_of(world: World, session: Ints) -> Ints:
    """The user of each session: few users have most sessions, and who they are is spread over all ids."""
    rank = few_are_popular(stream(world.seed, _NAME, "user"), session, world.users)
    return permute(stream(world.seed, _NAME, "activity"), rank, world.users)


def _cut_of(world: World, pair: Ints) -> Ints:
    return below(stream(world.seed, _NAME, "cut"), pair, _CUTS)


@lru_cache(maxsize=1)
def _cuts() -> Cuts:
    first = np.zeros((_CUTS, BLOCK), dtype=np.int64)
    last = np.zeros((_CUTS, BLOCK), dtype=np.int64)
    for cut in range(_CUTS):
        lengths = 1 + below(stream(0, _NAME, f"lengths_{cut}"), np.arange(BLOCK), LONGEST)
        start = 0
        for length in lengths.tolist():
            stop = min(start + length, BLOCK)
            first[cut, start:stop] = start
            last[cut, start:stop] = stop - 1
            start = stop
    return Cuts(first, last)
