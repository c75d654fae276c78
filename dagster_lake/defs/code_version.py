"""What an asset is made by, as a short text: Dagster shows as stale what was made by another one.

Of contracts it is what decides the tables, so that a changed description makes nothing stale, and a release that
compiles a rule in another way does.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from typing import Any

from dagster_lake.compile.fingerprint import fingerprint
from dagster_lake.contract.model import Contract

_DECISIVE = ("materialized", "incremental_strategy", "partition_by", "unique_key", "replaces", "starts_over_when")


def of_raw(contract: Contract) -> str:
    """Of raw: where the data comes from, and how it is read."""
    return _short([json.dumps(asdict(contract.source), sort_keys=True), contract.cadence])


@cache
def of_tables(contract: Contract) -> str:
    """Of bronze, silver, quarantine and the newest rows: the contract, and the SQL that it compiles to."""
    return fingerprint(contract)


def of_model(model: Mapping[str, Any], macros: Mapping[str, Any]) -> str:
    """Of a dbt model: its SQL, its columns, how it is stored, its stream's numbers, and every macro that it reaches."""
    reached: set[str] = set()
    waiting = list(model["depends_on"].get("macros", ()))
    while waiting:
        name = waiting.pop()
        if name not in reached and name in macros:
            reached.add(name)
            waiting += macros[name]["depends_on"].get("macros", ())
    types = {name: column.get("data_type") for name, column in model["columns"].items()}
    stored = {name: model["config"].get(name) for name in _DECISIVE}
    return _short(
        [
            model["raw_code"],
            json.dumps([types, stored, model["config"].get("meta", {}).get("stream")], sort_keys=True),
            *(macros[name]["macro_sql"] for name in sorted(reached)),
        ]
    )


def _short(decisive: Iterable[str]) -> str:
    return sha256("\n".join(decisive).encode()).hexdigest()[:16]
