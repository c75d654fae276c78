"""Which snapshots silver has taken, as Spark reads and notes it.

See ``storage.accepted`` and ``engines.duckdb.accepted``.
"""

from typing import TYPE_CHECKING

from dagster_lake.compile.newest_snapshots import accepted_select
from dagster_lake.compile.spark_dialect import SparkDialect
from dagster_lake.contract.columns import SNAPSHOT
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta.spark import SparkDelta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import accepted_table, quarantine_table, silver_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def accepted_snapshots(delta: SparkDelta, lake: Lake, contract: Contract) -> list[str]:
    """The snapshots that silver has taken, oldest first."""
    specs = (silver_table(lake, contract), accepted_table(lake, contract))
    return sorted({snapshot for spec in specs for snapshot in delta.partitions(spec)})


def note_accepted(
    delta: SparkDelta, lake: Lake, contract: Contract, dialect: SparkDialect, taken: list[str], withheld: list[str]
) -> None:
    """Notes what silver made of some snapshots, after it did: those ``taken`` are accepted, those withheld are not."""
    spec, quarantine = accepted_table(lake, contract), quarantine_table(lake, contract)
    read = 0

    def compute() -> "DataFrame":
        nonlocal read
        read = delta.existing(quarantine)
        rows = delta.at(quarantine.uri, read).of(SNAPSHOT.name, taken)
        rows.createOrReplaceTempView("quarantined")
        return delta.spark.sql(accepted_select(contract, dialect, taken)) if taken else delta.empty(spec.schema)

    def up_to_date() -> bool:
        return delta.same_files(quarantine.uri, SNAPSHOT.name, taken, read, delta.existing(quarantine))

    delta.replace_partitions(spec, [*taken, *withheld], compute, up_to_date, dict)
