"""The latest valid row of each key of a data set that comes as snapshots, from all snapshots that silver has taken.

A key is there in a snapshot that holds a row of it, valid or in quarantine, and missing since the first one after that.
Its row is the one of the last snapshot with a valid one.
"""

from collections.abc import Sequence

from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import keys_select
from dagster_lake.contract.columns import MISSING_SINCE, NEWER_IN_QUARANTINE, SNAPSHOT, silver_schema
from dagster_lake.contract.model import Contract


def accepted_select(contract: Contract, dialect: Dialect, taken: Sequence[str]) -> str:
    """The rows that tell of snapshots that were ``taken``: ``quarantined`` are the rows kept out of them."""
    keys, snapshot = _keys(contract, dialect), SNAPSHOT.name
    none = ", ".join(f"CAST(NULL AS {dialect.sql_type(p)}) AS {dialect.identifier(p.name)}" for p in contract.keys)
    kept_out = (
        f"SELECT DISTINCT {', '.join(keys)}, {snapshot} FROM ({keys_select(contract, dialect, 'quarantined')}) "
        f"WHERE {' AND '.join(f'{key} IS NOT NULL' for key in keys)}"
    )
    listed = ", ".join(f"({dialect.literal(each)})" for each in taken)
    return f"SELECT {none}, {snapshot} FROM (VALUES {listed}) a({snapshot}) UNION ALL {kept_out}"


def newest_of_snapshots_select(contract: Contract, dialect: Dialect, accepted: Sequence[str]) -> str:
    """The table from nothing: ``snapshots`` are the rows of all snapshots that were ``accepted``, ``kept_out`` has the
    keys that each of them keeps in quarantine."""
    keys, snapshot = _keys(contract, dialect), SNAPSHOT.name
    named = ", ".join(keys)
    columns = ", ".join(f"s.{dialect.identifier(name)}" for name in silver_schema(contract).names)
    listed = ", ".join(f"({dialect.literal(each)})" for each in accepted)
    following = (
        f"SELECT {snapshot}, lead({snapshot}) OVER (ORDER BY {snapshot}) AS _next FROM (VALUES {listed}) a({snapshot})"
        if accepted
        else f"SELECT CAST(NULL AS {dialect.text_type()}) AS {snapshot}, CAST(NULL AS {dialect.text_type()}) AS _next"
    )
    return (
        f"WITH valid AS (SELECT {named}, max({snapshot}) AS _latest FROM snapshots GROUP BY {named}), "
        f"doubted AS (SELECT {named}, max({snapshot}) AS _last FROM kept_out GROUP BY {named}), "
        f"seen AS (SELECT {', '.join(f'v.{key}' for key in keys)}, v._latest, "
        f"coalesce(k._last > v._latest, false) AS _newer, "
        f"CASE WHEN k._last > v._latest THEN k._last ELSE v._latest END AS _last_seen "
        f"FROM valid v LEFT JOIN doubted k ON {_equal('v', 'k', keys)}), "
        f"following AS ({following}) "
        f"SELECT {columns}, f._next AS {MISSING_SINCE.name}, n._newer AS {NEWER_IN_QUARANTINE.name} "
        f"FROM snapshots s JOIN seen n ON {_equal('s', 'n', keys)} AND s.{snapshot} = n._latest "
        f"JOIN following f ON f.{snapshot} = n._last_seen"
    )


def advanced_by_snapshot_select(contract: Contract, dialect: Dialect, snapshot: str) -> str:
    """The table after one snapshot more: ``target`` is the table before, from snapshots older than this one, or from
    this one as well when its content is the same; ``snapshots`` and ``kept_out`` are of this one alone."""
    keys = _keys(contract, dialect)
    columns = ", ".join(dialect.identifier(name) for name in silver_schema(contract).names)
    key = f"k.{keys[0]}"
    return (
        f"SELECT {columns}, CAST(NULL AS {dialect.text_type()}) AS {MISSING_SINCE.name}, "
        f"false AS {NEWER_IN_QUARANTINE.name} FROM snapshots UNION ALL "
        f"SELECT {', '.join(f't.{dialect.identifier(name)}' for name in silver_schema(contract).names)}, "
        f"CASE WHEN {key} IS NULL THEN coalesce(t.{MISSING_SINCE.name}, {dialect.literal(snapshot)}) END, "
        f"t.{NEWER_IN_QUARANTINE.name} OR {key} IS NOT NULL FROM target t "
        f"LEFT JOIN (SELECT DISTINCT {', '.join(keys)} FROM kept_out) k ON {_equal('t', 'k', keys)} "
        f"ANTI JOIN snapshots s ON {_equal('t', 's', keys)}"
    )


def _keys(contract: Contract, dialect: Dialect) -> list[str]:
    return [dialect.identifier(p.name) for p in contract.keys]


def _equal(left: str, right: str, keys: list[str]) -> str:
    return " AND ".join(f"{left}.{key} = {right}.{key}" for key in keys)
