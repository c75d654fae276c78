"""The source systems, each opened when it is first needed."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from dagster_lake.sources.event_hub.protocol import EventHub

if TYPE_CHECKING:  # brings SQLAlchemy, which a landing by Auto Loader does without
    from dagster_lake.sources.database.database import Database


class Sources:
    """The source systems that hourly data sets are landed from. Each is only read."""

    def __init__(self, event_hub: EventHub | None = None, database: "Database | None" = None) -> None:
        self._open_event_hub: Callable[[], EventHub | None] = lambda: event_hub
        self._open_database: Callable[[], Database | None] = lambda: database

    @classmethod
    def when_needed(cls, open_event_hub: Callable[[], EventHub], open_database: Callable[[], "Database"]) -> "Sources":
        """Sources that are opened when they are first asked for, so that one of them can be away."""
        sources = cls.__new__(cls)
        sources._open_event_hub, sources._open_database = open_event_hub, open_database
        return sources

    @cached_property
    def event_hub(self) -> EventHub:
        """The event hub; raises EventHubError where it cannot be opened."""
        hub = self._open_event_hub()
        assert hub is not None, "these sources have no event hub"
        return hub

    @cached_property
    def database(self) -> "Database":
        """The database; raises DatabaseError for an address that no reader knows."""
        database = self._open_database()
        assert database is not None, "these sources have no database"
        return database
