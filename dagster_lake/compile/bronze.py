"""Raw to bronze: one SELECT, from a contract alone.

JSON comes as rows of ``lines``: the body's bytes, the row's position, its raw file's ``_source_file``,
``_ingested_at`` and partition. Typed sources come as rows of ``lines`` with their own columns instead of a body.
"""

from dagster_lake.compile.columns import RESCUED, bronze_schema
from dagster_lake.compile.dialects import DuckDBDialect
from dagster_lake.contract import Contract


def bronze_select(contract: Contract, dialect: DuckDBDialect) -> str:
    """The bronze rows of whatever ``lines`` holds: every line gives exactly one row, malformed or not."""
    return _from_typed(contract, dialect) if contract.typed_source else _from_json(contract, dialect)


def _from_json(contract: Contract, dialect: DuckDBDialect) -> str:
    names = [p.name for p in contract.source_properties]
    line = dialect.utf8("body")
    document = f"CASE WHEN {dialect.is_json_object('line')} THEN line END"
    # Bytes that are not UTF-8 cannot stand in a text column: their hexadecimal form keeps them whole.
    malformed = f"coalesce(rtrim(line, E'\\r\\n'), 'hex:' || {dialect.hex('body')})"
    columns = [f"fields[{i + 1}] AS {dialect.identifier(n)}" for i, n in enumerate(names)]
    rescued = f"CASE WHEN document IS NULL THEN {malformed} ELSE {dialect.json_rest('document', names)} END"
    return (
        f"SELECT {', '.join(columns)}, {rescued} AS {RESCUED.name}, {', '.join(_carried(contract))} FROM ("
        f"SELECT *, {dialect.json_texts('document', names)} AS fields FROM ("
        f"SELECT *, {document} AS document FROM (SELECT *, {line} AS line FROM lines)))"
    )


def _from_typed(contract: Contract, dialect: DuckDBDialect) -> str:
    columns = [
        f"CAST({dialect.identifier(p.name)} AS {dialect.sql_type(p)}) AS {dialect.identifier(p.name)}"
        for p in contract.source_properties
    ]
    return (
        f"SELECT {', '.join(columns)}, CAST(NULL AS VARCHAR) AS {RESCUED.name}, "
        f"{', '.join(_carried(contract))} FROM lines"
    )


def _carried(contract: Contract) -> list[str]:
    own = {p.name for p in contract.source_properties} | {RESCUED.name}
    return [name for name in bronze_schema(contract).names if name not in own]
