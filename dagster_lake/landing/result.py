"""What a landing needs and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dagster_lake.errors import LakeError
from dagster_lake.resources.event_hub import EventHub
from dagster_lake.storage.manifest import Manifest

if TYPE_CHECKING:  # brings SQLAlchemy, which a landing by Auto Loader does without
    from dagster_lake.resources.database import Database


class LandingError(LakeError):
    """Data that cannot be landed: the message names the data set, the partition and the remedy."""


class Unreadable(LandingError):
    """A landing folder or a file in it that cannot be read; what landed before is as good as it was."""


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


@dataclass(frozen=True)
class Skipped:
    """A file in the landing folder that was not landed, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source} was skipped: it {self.reason}"


@dataclass(frozen=True)
class Landed:
    """One landed partition as it now stands.

    ``rows``, ``bytes`` and ``files`` count all its attempts; ``attempt`` is the newest one's number. ``changed`` says
    whether this landing added anything or closed an open hour. ``partition`` is empty when nothing of a snapshot was
    ever delivered. ``warnings`` are what the data set's owner should know: files that are waited for, or taken in a
    way that one may not expect. ``notes`` say how files were taken, for whoever wonders. ``lacks`` tells of events that
    never came or have expired, so that the hour is incomplete, and ``lacks_more`` whether that is news. ``over`` says
    that nothing more will come all the same.
    """

    partition: str
    rows: int
    bytes: int
    files: int
    attempt: int
    changed: bool
    complete: bool
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lacks: str | None = None
    lacks_more: bool = False
    over: bool = False

    @classmethod
    def of(
        cls,
        manifest: Manifest | None,
        *,
        changed: bool,
        skipped: tuple[Skipped, ...] = (),
        warnings: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> "Landed":
        """The result that ``manifest`` stands for; None stands for nothing, ever."""
        if manifest is None:
            return cls("", 0, 0, 0, 0, changed=False, complete=False, skipped=skipped, warnings=warnings, notes=notes)
        return cls(
            partition=manifest.partition,
            rows=manifest.rows,
            bytes=manifest.bytes,
            files=len(manifest.files),
            attempt=manifest.next_attempt - 1,
            changed=changed,
            complete=manifest.complete,
            over=manifest.is_over,
            skipped=skipped,
            warnings=warnings,
            notes=notes,
        )
