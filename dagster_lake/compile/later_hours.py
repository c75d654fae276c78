"""Which later hours an hour of events changes: the copies of its events in the 24 hours after it win or lose by it.

Whether a row wins follows from the valid copies of its key in the 24 hours before it, and from nothing else: not from
which of these win, so one pass over the hours after a changed one is enough. A later hour is made again only where it
holds other rows than these copies give: the work follows the copies and not the history, and an hour that is right
already is left alone.
"""

from collections.abc import Collection

from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import dedupe_of, keys_select, look_back, losers_select, valid_keys_select
from dagster_lake.contract.columns import partition_field, position_fields
from dagster_lake.contract.model import Contract
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour


def look_ahead(contract: Contract, partitions: Collection[str]) -> list[str]:
    """The partitions after and between ``partitions`` that may hold a later copy of one of their rows."""
    hours = dedupe_of(contract).look_back
    if not hours:
        return []
    starts = [parse_hour(p) for p in partitions]
    reached = {key for start in starts for key in HourRange(start + HOUR, start + hours * HOUR).keys}
    return sorted(reached - set(partitions))


def hours_around(contract: Contract, hours: Collection[str] | None) -> list[str]:
    """The hours before and after ``hours`` that may hold a copy of one of their rows; none when they are all hours."""
    if hours is None:
        return []
    return sorted({*look_back(contract, hours), *look_ahead(contract, hours)})


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
    later = f"({keys_select(contract, dialect, 'later')}) AS _l"
    return f"SELECT DISTINCT {keys} FROM {later} SEMI JOIN ({own}) AS _o USING ({keys})"


def shared_partitions_select(contract: Contract, dialect: Dialect) -> str:
    """The partitions of ``around`` (rows like bronze's) in which a key of ``suspects`` occurs."""
    return (
        f"SELECT DISTINCT {partition_field(contract).name} FROM ({keys_select(contract, dialect, 'around')}) AS _a "
        f"SEMI JOIN suspects USING ({_keys(contract, dialect)})"
    )


def stale_partitions_select(contract: Contract, dialect: Dialect, later: Collection[str]) -> str:
    """Those of the ``later`` partitions of which silver does not hold the copies that win, or quarantine those that
    differ from them.

    Reads ``suspects`` (keys), ``reach`` (rows like bronze's in which they occur), and what there is of the later
    partitions: ``made`` (rows of silver) and ``kept_out`` (rows of quarantine; the valid ones are such copies).
    """
    partition, keys = partition_field(contract).name, _keys(contract, dialect)
    columns = ", ".join([*(f.name for f in position_fields(contract)), partition])
    valid, kept_out = (f"({valid_keys_select(contract, dialect, name)}) AS _v" for name in ("reach", "kept_out"))
    losers = f"({losers_select(contract, dialect)}) AS _losers"
    position = ", ".join(f.name for f in position_fields(contract))
    those = f"{partition} IN ({dialect.texts(sorted(later))})"
    right = (
        f"SELECT {columns}, 'silver' AS _table FROM {valid} SEMI JOIN suspects USING ({keys}) "
        f"ANTI JOIN {losers} USING ({position}) WHERE {those} UNION ALL "
        f"SELECT {columns}, 'quarantine' FROM {losers} WHERE _conflicting AND {those}"
    )
    there = (
        f"SELECT {columns}, 'silver' AS _table FROM made SEMI JOIN suspects USING ({keys}) UNION ALL "
        f"SELECT {columns}, 'quarantine' FROM {kept_out} SEMI JOIN suspects USING ({keys})"
    )
    return (
        f"SELECT DISTINCT {partition} FROM (SELECT * FROM (SELECT * FROM ({right}) EXCEPT SELECT * FROM ({there})) "
        f"UNION ALL SELECT * FROM (SELECT * FROM ({there}) EXCEPT SELECT * FROM ({right}))) ORDER BY 1"
    )


def _keys(contract: Contract, dialect: Dialect) -> str:
    return ", ".join(dialect.identifier(p.name) for p in dedupe_of(contract).keys)
