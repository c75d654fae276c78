"""A lake hour before anything landed in it. Apart from ``hours``, so that Databricks needs no DuckDB to know it."""

from datetime import datetime

from dagster_lake.contract.model import Contract
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.storage.manifest import Manifest


def empty_hour(contract: Contract, hour: datetime, now: datetime) -> Manifest:
    """The manifest of an hour that has no attempt yet and is still open."""
    return Manifest(
        data_set=contract.name,
        partition=hour_key(hour),
        kind=contract.source.kind,
        attempts=(),
        complete=False,
        landed_at=now,
        start=hour,
        end=hour + HOUR,
    )
