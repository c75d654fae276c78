"""The contract held against silver itself: each check is a SELECT of the rows that break it, by partition.

These do not trust the step that wrote silver: they read what is there, in its final types.
"""

from dagster_lake.compile.bounds import above_maximum, below_minimum
from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import dedupe_of
from dagster_lake.contract.columns import INGESTED_AT, partition_field
from dagster_lake.contract.model import Contract, DatabaseSource, Property

MASKED = {"hmac": "[A-Za-z0-9_.-]{1,32}:[0-9a-f]{64}", "redact": "\\*\\*\\*", "partial": ".\\*\\*\\*"}


def duplicate_keys_select(contract: Contract, dialect: Dialect) -> str:
    """Rows of ``silver`` beyond the first of each key: within a partition, or, where copies are looked for in the hours
    before, within that look-back. Then ``around`` holds the rows of the hours that far before and after ``silver``'s;
    two copies of which one is there count for the other's hour.
    """
    dedupe = dedupe_of(contract)
    keys = ", ".join(dialect.identifier(p.name) for p in dedupe.keys)
    partition = partition_field(contract).name
    if not dedupe.look_back:
        groups = f"SELECT {partition}, count(*) AS _n FROM silver GROUP BY {partition}, {keys} HAVING count(*) > 1"
        return f"SELECT {partition}, CAST(sum(_n - 1) AS BIGINT) FROM ({groups}) GROUP BY {partition}"
    here = f"(SELECT {keys} FROM silver) AS _here USING ({keys})"
    rows = (
        f"SELECT {keys}, {partition}, 1 AS _own FROM silver UNION ALL "
        f"SELECT {keys}, {partition}, 0 AS _own FROM around SEMI JOIN {here}"
    )
    window = f"OVER (PARTITION BY {keys} ORDER BY {partition})"
    before, own_before = f"lag({partition}) {window}", f"lag(_own) {window}"
    pairs = (
        f"SELECT {dialect.hours_between(before, partition)} AS _apart, {own_before} AS _own_before, _own, "
        f"CASE WHEN _own = 1 THEN {partition} ELSE {before} END AS _hour FROM ({rows})"
    )
    near = f"_apart <= {dedupe.look_back} AND (_own = 1 OR _own_before = 1)"
    return f"SELECT _hour, count(*) FROM ({pairs}) WHERE {near} GROUP BY _hour"


def broken_rows_select(contract: Contract, dialect: Dialect) -> str:
    """Rows of ``silver`` in which a value is missing, out of range, not allowed or not masked."""
    conditions = [condition for p in contract.properties for condition in _conditions(p, dialect)]
    partition = partition_field(contract).name
    return f"SELECT {partition}, count(*) FROM silver WHERE {' OR '.join(conditions) or 'false'} GROUP BY {partition}"


def orphans_select(contract: Contract, prop: Property, dialect: Dialect) -> str:
    """Rows of ``silver`` whose ``prop`` refers to nothing in ``referenced``."""
    assert prop.references is not None
    own, target = dialect.identifier(prop.name), dialect.identifier(prop.references[1])
    joined = f"silver AS _s ANTI JOIN referenced AS _r ON _s.{own} = _r.{target}"
    partition = f"_s.{partition_field(contract).name}"
    return f"SELECT {partition}, count(*) FROM {joined} WHERE _s.{own} IS NOT NULL GROUP BY {partition}"


def stepped_back_select(contract: Contract, dialect: Dialect) -> str:
    """Rows of ``silver`` that came later than ``referenced``, the latest row of their key, and say they are older.

    A table holds a row once: when it came with an earlier time of writing than it had, its time was set back, and the
    latest rows keep what is no longer true.
    """
    assert isinstance(contract.source, DatabaseSource)
    written, keys = (
        dialect.identifier(contract.source.updated_at),
        ", ".join(dialect.identifier(p.name) for p in contract.keys),
    )
    partition = f"_s.{partition_field(contract).name}"
    return (
        f"SELECT {partition}, count(*) FROM silver AS _s JOIN referenced AS _r USING ({keys}) "
        f"WHERE _r.{written} > _s.{written} AND _r.{INGESTED_AT.name} < _s.{INGESTED_AT.name} GROUP BY {partition}"
    )


def _conditions(prop: Property, dialect: Dialect) -> list[str]:
    column = dialect.identifier(prop.name)
    conditions = [f"{column} IS NULL"] if prop.required else []
    if prop.minimum is not None:
        conditions.append(below_minimum(column, prop, dialect))
    if prop.maximum is not None:
        conditions.append(above_maximum(column, prop, dialect))
    if prop.allowed:
        conditions.append(f"{column} NOT IN ({dialect.texts(prop.allowed)})")
    if prop.masking:
        conditions.append(f"NOT {dialect.matches(column, MASKED[prop.masking])}")
    return conditions
