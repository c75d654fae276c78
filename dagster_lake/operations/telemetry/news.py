"""What has become of runs since somebody looked last: each change at least once, whichever process dies in between."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

OVERLAP = timedelta(minutes=2)
"""How far before the newest change that was seen one looks again: processes' clocks differ, and a change may be
committed after another that bears a later time."""


@dataclass(frozen=True)
class Cursor:
    """How far one has seen: the time of the newest change, and the changes in the overlap that were told of."""

    since: datetime
    told: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> "Cursor | None":
        """The cursor as ``write`` gave it; None for none. Raises ValueError for any other text."""
        if not text:
            return None
        try:
            document = json.loads(text)
            told = {change: datetime.fromisoformat(at) for change, at in document["told"].items()}
            return cls(datetime.fromisoformat(document["since"]), told)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                "the cursor is none that this sensor wrote; reset it in the UI: Automation, the sensor, Reset cursor"
            ) from None

    def write(self) -> str:
        """The cursor as text."""
        told = {change: at.isoformat() for change, at in sorted(self.told.items())}
        return json.dumps({"since": self.since.isoformat(), "told": told})


def runs_since(
    instance: dg.DagsterInstance, cursor: Cursor, statuses: Sequence[dg.DagsterRunStatus], most: int
) -> tuple[list[dg.RunRecord], Cursor]:
    """Runs that have come to be in one of ``statuses`` since, oldest change first, and the cursor after them.

    There are at most ``most``, so that a look is over before the daemon gives it up; the next one finds the rest.
    """
    found = instance.get_run_records(
        dg.RunsFilter(statuses=list(statuses), updated_after=cursor.since - OVERLAP),
        limit=most + len(cursor.told),
        order_by="update_timestamp",
        ascending=True,
    )
    new = [record for record in found if _change(record) not in cursor.told][:most]
    changes = {_change(record): _changed_at(record) for record in new}
    since = max([cursor.since, *changes.values()])
    told = {change: at for change, at in {**cursor.told, **changes}.items() if at > since - OVERLAP}
    return new, Cursor(since, told)


def _change(record: dg.RunRecord) -> str:
    return f"{record.dagster_run.run_id} {record.dagster_run.status.value}"


def _changed_at(record: dg.RunRecord) -> datetime:
    return record.update_timestamp.astimezone(UTC)
