"""What a landing needs and what it gives back."""

from dataclasses import dataclass

from dagster_lake.errors import LakeError
from dagster_lake.storage.manifest import Manifest


class LandingError(LakeError):
    """Data that cannot be landed: the message names the data set, the partition and the remedy."""


class Unreadable(LandingError):
    """A landing folder or a file in it that cannot be read; what landed before is as good as it was."""


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
