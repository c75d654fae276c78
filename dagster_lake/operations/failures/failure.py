"""A failure as it is told: what happened, to which data sets, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import hour_key, hour_of
from dagster_lake.settings.lake import Settings
from dagster_lake.streams.alerts.channels import route
from dagster_lake.streams.alerts.kinds import CHANNELS, FAILURE_SHOWS, AlertKind
from dagster_lake.streams.alerts.notices import Rows

Kind = Literal[
    "failed_run", "failed_check", "dead_sensor", "dead_daemon", "missed_hour", "stopped_delivery", "sink_in_trouble"
]


@dataclass(frozen=True)
class Failure:
    """``id`` is the same however often one failure is seen, and another for the next one of its kind.

    ``what`` and ``to_do`` leave the lake: they hold names, times and numbers, never what data holds.
    """

    kind: Kind
    id: str
    at: datetime
    data_sets: tuple[str, ...]
    what: str
    to_do: str

    @property
    def key(self) -> str:
        """The id among failures of all kinds."""
        return f"{self.kind} {self.id}"

    @property
    def owners(self) -> str:
        """Who answers for the data sets."""
        known = contracts()
        return ", ".join(sorted({known[name].owner for name in self.data_sets if name in known})) or "the platform"


_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("what", pa.string()),
        ("to_do", pa.string()),
        ("owner", pa.string()),
        ("_time", pa.timestamp("us", "UTC")),
        ("_lake_hour", pa.string()),
        (CHANNELS, pa.string()),
    ]
)


def as_rows(failures: Iterable[Failure], settings: Settings, now: datetime) -> dict[AlertKind, Rows]:
    """The failures as rows to be noted, by kind. They are of the hour ``now``, in which they are seen."""
    found: dict[str, list[dict[str, object]]] = {}
    for failure in failures:
        row = {
            "id": failure.id,
            "what": failure.what,
            "to_do": failure.to_do,
            "owner": failure.owners,
            "_time": failure.at,
            "_lake_hour": hour_key(hour_of(now)),
            CHANNELS: ",".join(route(settings, failure.data_sets)),
        }
        found.setdefault(failure.kind, []).append(row)
    return {_kind(kind): Rows(pa.Table.from_pylist(rows, _SCHEMA)) for kind, rows in found.items()}


def _kind(name: str) -> AlertKind:
    return AlertKind(
        stream=name,
        key=("id",),
        inputs=(),
        look_back=1,
        worst="id",
        shows=FAILURE_SHOWS,
        told_after=None,
        is_failure=True,
    )
