"""Which rows of the alert streams a run has just written."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.dbt_runner.stream_hours import event_hours, reached_hours
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.land import manifests, partitions
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import silver_table
from dagster_lake.streams.alerts.kinds import AlertKind
from dagster_lake.streams.alerts.notices import Rows


def written_hours(
    lake: Lake, kinds: Iterable[AlertKind], hours: HourRange | None, settled: Mapping[str, datetime]
) -> dict[AlertKind, Rows]:
    """Of each stream that has a table: the output hours that a run for ``hours`` of silver may write; None gives all.

    ``settled`` says, by data set, up to when all its events are known to be in the tables, where somebody knows: raw
    alone does not say that time has passed without any.
    """
    silver = {
        contract.name: pinned
        for contract in contracts().values()
        if isinstance(contract.source, EventHubSource) and (pinned := pin(silver_table(lake, contract).uri))
    }
    events = event_hours(silver)
    found = {}
    for kind in kinds:
        table = pin(lake.table("streams", kind.stream))
        if table is not None:
            written = table.partitions() if hours is None else reached_hours(hours.keys, events, kind.look_back)
            found[kind] = Rows(table, written, known_until(lake, kind.inputs, settled))
    return found


def known_until(lake: Lake, inputs: Iterable[str], settled: Mapping[str, datetime]) -> datetime | None:
    """Up to when all events of these data sets are in the lake, by what raw says and what is ``settled``; None when
    nothing was landed."""
    known = {name: _known_until(lake, contracts()[name]) for name in inputs}
    return min((max(by_raw, settled.get(name, by_raw)) for name, by_raw in known.items() if by_raw), default=None)


def _known_until(lake: Lake, contract: Contract) -> datetime | None:
    newest = manifests(lake, contract, partitions(lake, contract)[-2:])
    # An hour that was landed in part and never closed leaves a gap, though the next one has begun.
    for manifest in newest:
        if not manifest.is_over:
            return manifest.landed_at
    return newest[-1].end if newest else None
