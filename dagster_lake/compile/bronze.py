"""Raw to bronze: one SELECT, from a contract alone.

JSON comes as rows of ``lines``: the body's bytes, the row's position, its raw file's ``_source_file``,
``_ingested_at`` and partition. Typed sources come as rows of ``lines`` with their own columns instead of a body.
"""

from dagster_lake.compile.dialect import Dialect
from dagster_lake.contract.columns import RESCUED, bronze_schema, partition_field
from dagster_lake.contract.model import Contract


def bronze_select(contract: Contract, dialect: Dialect) -> str:
    """The bronze rows of whatever ``lines`` holds: every line gives exactly one row, malformed or not."""
    return _from_typed(contract, dialect) if contract.typed_source else _from_json(contract, dialect)


def rescued_select(contract: Contract, dialect: Dialect, relation: str) -> str:
    """The partition and number of rows of ``relation``, a relation like bronze, that hold fields the contract does not
    know, or one twice. A malformed line is not one of them, nor a typed value that does not fit: they are
    quarantined."""
    partition = partition_field(contract).name
    if contract.typed_source:
        return f"SELECT {partition}, count(*) FROM {relation} WHERE false GROUP BY {partition}"
    return (
        f"SELECT {partition}, count(*) FROM {relation} WHERE {RESCUED.name} IS NOT NULL "
        f"AND {dialect.is_json_object(RESCUED.name)} GROUP BY {partition}"
    )


def _from_json(contract: Contract, dialect: Dialect) -> str:
    names = [p.name for p in contract.source_properties]
    # Bytes that are not UTF-8 cannot stand in a text column: their hexadecimal form keeps them whole.
    malformed = f"coalesce({dialect.without_line_end('_line')}, 'hex:' || {dialect.hex('body')})"
    columns = [f"{dialect.item('_fields', i)} AS {dialect.identifier(n)}" for i, n in enumerate(names)]
    rescued = f"CASE WHEN _document IS NULL THEN {malformed} ELSE {dialect.json_rest('_document', names)} END"
    return (
        f"SELECT {', '.join(columns)}, {rescued} AS {RESCUED.name}, {', '.join(_carried(contract))} FROM ("
        f"SELECT *, {dialect.json_texts('_document', names)} AS _fields FROM ("
        f"SELECT *, {dialect.json_object('_line')} AS _document FROM ("
        f"SELECT *, {dialect.utf8('body')} AS _line FROM lines)))"
    )


def _from_typed(contract: Contract, dialect: Dialect) -> str:
    columns = [
        f"CAST({dialect.identifier(p.name)} AS {dialect.sql_type(p)}) AS {dialect.identifier(p.name)}"
        for p in contract.source_properties
    ]
    return (
        f"SELECT {', '.join(columns)}, CAST({RESCUED.name} AS {dialect.text_type()}) AS {RESCUED.name}, "
        f"{', '.join(_carried(contract))} FROM lines"
    )


def _carried(contract: Contract) -> list[str]:
    own = {p.name for p in contract.source_properties} | {RESCUED.name}
    return [name for name in bronze_schema(contract).names if name not in own]
