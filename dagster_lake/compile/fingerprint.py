"""What decides the tables of a contract, as one short text: made under another one, they may hold other rows."""

import json
from dataclasses import asdict
from hashlib import sha256

from dagster_lake.compile.bronze import bronze_select
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.silver import losers_select, quarantine_select, silver_select
from dagster_lake.contract.columns import bronze_schema, quarantine_schema, silver_schema
from dagster_lake.contract.model import Contract


def fingerprint(contract: Contract) -> str:
    """The same for contracts that give the same bronze, quarantine and silver of the same raw, whichever engine runs.

    It is a hash of the source, the columns and the SQL, so that neither a changed description nor the version alters
    it, and a release that compiles a rule in another way does.
    """
    dialect = DuckDBDialect()
    decisive = [
        json.dumps(asdict(contract.source), sort_keys=True),
        *(str(schema(contract)) for schema in (bronze_schema, quarantine_schema, silver_schema)),
        *(select(contract, dialect) for select in (bronze_select, losers_select, quarantine_select, silver_select)),
    ]
    return sha256("\n".join(decisive).encode()).hexdigest()[:16]
