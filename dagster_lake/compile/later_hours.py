"""Which later hours an hour of events changes: the copies of its events in the 24 hours after it win or lose by it.

Whether a row wins follows from the valid copies of its key in the 24 hours before it, and from nothing else: not from
which of these win, so one pass over the hours after a changed one is enough. A later hour is made again only where it
holds other rows than these copies give: the work follows the copies and not the history, and an hour that is right
already is left alone.
"""

from collections.abc import Collection

from dagster_lake.compile.columns import partition_field, position_fields
from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import dedupe_of, keys_select, losers_select, valid_keys_select
from dagster_lake.contract import Contract
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour


def look_ahead(contract: Contract, partitions: Collection[str]) -> list[str]:
    """The partitions after and between ``partitions`` that may hold a later copy of one of their rows."""
    hours = dedupe_of(contract).look_back
    if not hours:
        return []
    starts = [parse_hour(p) for p in partitions]
    reached = {key for start in starts for key in HourRange(start + HOUR, start + hours * HOUR).keys}
    return sorted(reached - set(partitions))


def reaching(contract: Contract, partitions: Collection[str], later: Collection[str]) -> list[str]:
    """Those of ``partitions`` of which ``later`` partitions may hold copies."""
    hours = dedupe_of(contract).look_back
    before = {hour_key(parse_hour(key) - n * HOUR) for key in later for n in range(1, hours + 1)}
    return sorted(before & set(partitions))


def shared_keys_select(contract: Contract, dialect: Dialect) -> str:
    """The keys that occur in ``later`` (rows like bronze's) and in ``bronze``, or in ``held``: what silver holds of the
    same hours as yet, so that a copy which is there no longer counts as well."""
    keys = _keys(contract, dialect)
    own = f"SELECT {keys} FROM ({keys_select(contract, dialect, 'bronze')}) UNION ALL SELECT {keys} FROM held"
    later = f"({keys_select(contract, dialect, 'later')}) AS l"
    return f"SELECT DISTINCT {keys} FROM {later} SEMI JOIN ({own}) AS o USING ({keys})"


def shared_partitions_select(contract: Contract, dialect: Dialect) -> str:
    """The partitions of ``around`` (rows like bronze's) in which a key of ``suspects`` occurs."""
    return (
        f"SELECT DISTINCT {partition_field(contract).name} FROM ({keys_select(contract, dialect, 'around')}) AS a "
        f"SEMI JOIN suspects USING ({_keys(contract, dialect)})"
    )


def stale_partitions_select(contract: Contract, dialect: Dialect, later: Collection[str]) -> str:
    """Those of the ``later`` partitions of which silver does not hold the copies that win.

    Reads ``suspects`` (keys), ``reach`` (rows like bronze's in which they occur) and ``made`` (silver's rows of the
    later partitions).
    """
    partition, keys = partition_field(contract).name, _keys(contract, dialect)
    position = ", ".join(f.name for f in position_fields(contract))
    right = (
        f"SELECT {position}, {partition} FROM ({valid_keys_select(contract, dialect, 'reach')}) AS v "
        f"SEMI JOIN suspects USING ({keys}) "
        f"ANTI JOIN ({losers_select(contract, dialect)}) AS losers USING ({position}) "
        f"WHERE {partition} IN ({dialect.texts(sorted(later))})"
    )
    there = f"SELECT {position}, {partition} FROM made SEMI JOIN suspects USING ({keys})"
    return (
        f"SELECT DISTINCT {partition} FROM ("
        f"({right} EXCEPT {there}) UNION ALL ({there} EXCEPT {right})) AS differing ORDER BY 1"
    )


def _keys(contract: Contract, dialect: Dialect) -> str:
    return ", ".join(dialect.identifier(p.name) for p in dedupe_of(contract).keys)
