"""The lake's definitions with an engine that writes every row of silver twice, for a test of what then happens."""

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.contract.model import Contract
from dagster_lake.definitions import defs
from dagster_lake.engines.duckdb import engine as duckdb

__all__ = ["defs"]

_once = duckdb.silver_select


def _twice(contract: Contract, dialect: DuckDBDialect) -> str:
    return f"{_once(contract, dialect)} UNION ALL {_once(contract, dialect)}"


duckdb.silver_select = _twice
