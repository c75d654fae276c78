"""The clock of the world that a test looks at."""

from collections.abc import Callable

import pytest

from dagster_lake import clock
from tests.live.event_worlds import EventWorld

Still = Callable[[EventWorld], EventWorld]


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Still:
    """Makes the clock that of the given world."""

    def follow(world: EventWorld) -> EventWorld:
        monkeypatch.setattr(clock, "utc_now", lambda: world.now)
        return world

    return follow
