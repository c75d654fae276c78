"""What ``lake stream`` is to do: which data sets, which alerts, and by what SQL some of these are judged early."""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dagster_lake.contract.model import Contract, ContractError, EventHubSource, contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.dbt_runner.run import compiled
from dagster_lake.live.early import EarlySql
from dagster_lake.live.single_events import of_single_events
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.kinds import AlertKind, alert_kinds
from dagster_lake.streams.declarations import StreamDeclaration, stream_declarations
from dagster_lake.streams.sinks.sink import Sink, sinks_of


@dataclass(frozen=True)
class Plan:
    """What one process does.

    ``contracts`` are the event data sets to land, by name, and ``kinds`` the streams that give alerts; ``early`` says,
    by data set, by what SQL some of them are judged before the tables. Tables are made every ``tables_every`` seconds
    at most, and then the ``sinks`` are filled. ``run`` names the process among others.
    """

    contracts: Mapping[str, Contract]
    kinds: list[AlertKind]
    early: Mapping[str, EarlySql]
    tables_every: float
    run: str
    sinks: Sequence[Sink] = ()


def plan(lake: Lake, settings: Settings, data_sets: Collection[str]) -> Plan:
    """The plan for these data sets, for all that come from event hubs when none is named.

    Raises ContractError for a name that is none of them.
    """
    events = {name: c for name, c in contracts().items() if isinstance(c.source, EventHubSource)}
    for name in data_sets:
        if name not in events:
            raise ContractError(f"{name!r} does not come from an event hub; name some of {', '.join(events)}")
    chosen = {name: contract for name, contract in events.items() if not data_sets or name in data_sets}
    streams = stream_declarations(manifest())
    kinds = alert_kinds(streams.values())
    # By DuckDB's SQL; on Spark, alerts are told from the tables.
    early = _early(lake, settings, chosen, kinds, streams) if settings.engine == "duckdb" else {}
    run = f"lake stream {socket.gethostname()} {os.getpid()}"
    return Plan(chosen, kinds, early, settings.stream_seconds, run, sinks_of(streams.values()))


def _early(
    lake: Lake,
    settings: Settings,
    chosen: Collection[str],
    kinds: list[AlertKind],
    streams: Mapping[str, StreamDeclaration],
) -> dict[str, EarlySql]:
    found = {}
    for name in chosen:
        may_be = {f"model.dagster_lake.{k.stream}": k for k in kinds if _may_be_early(k, streams[k.stream], name)}
        if may_be:
            models, stream = compiled(list(may_be), f"select * from {{{{ stream('{name}') }}}}", lake, settings)
            early = {may_be[id]: sql for id, sql in models.items() if of_single_events(sql, stream)}
            if early:
                found[name] = EarlySql(early, stream)
    return found


def _may_be_early(kind: AlertKind, stream: StreamDeclaration, data_set: str) -> bool:
    """Whether the stream reads events of ``data_set`` alone, and its alerts are to be told at once."""
    return list(stream.inputs) == [data_set] and not stream.reference and kind.told_after is None
