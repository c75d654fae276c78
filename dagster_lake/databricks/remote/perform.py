"""Runs one piece of work with Spark, on Databricks, and says how it goes."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from upath import UPath

from dagster_lake.contract.model import Contract, contracts, load_contracts
from dagster_lake.databricks.remote.document import Work
from dagster_lake.engines.landed import LandedPartition
from dagster_lake.engines.step import Step, StepResult
from dagster_lake.errors import LakeError
from dagster_lake.privacy.masking_key import MaskingKey, MaskingKeyError
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.path import AdlsPath, parse_address
from dagster_lake.storage.paths import Lake


class UnreachableLake(LakeError):
    """The lake is not where this process can read it; the message names the setting."""


def perform(work: Work, say: Callable[[str], None]) -> StepResult | dict[str, dict[str, int]]:
    """Runs ``work`` and returns its result; ``say`` gets a line for people at each turn."""
    from dagster_lake.engines.spark.engine import SparkEngine
    from dagster_lake.engines.spark.session import spark_session

    started = time.monotonic()
    lake = _lake(work.root)
    settings = Settings(root=work.root, catalog=work.catalog, pii_key_id=work.key_id)
    spark = spark_session(settings)
    say(f"Spark {spark.version} is ready after {time.monotonic() - started:.1f} s")
    engine = SparkEngine(lake, _contracts(work), settings, spark=spark, landed=_landed_of(work), key=lambda: _key(work))
    say(f"{work.name}: {_reading(work)}")
    started = time.monotonic()
    result = engine.run(work.task) if isinstance(work.task, Step) else engine.check(work.task)
    say(f"{work.name}: {_done(result)} in {time.monotonic() - started:.1f} s")
    return result


def _contracts(work: Work) -> dict[str, Contract]:
    """Those that came with the work, or else the wheel's."""
    if not work.contracts:
        return contracts()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in work.contracts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        return load_contracts(Path(folder))


def _lake(root: str) -> Lake:
    """The layout alone: there are no credentials here but those that Spark has, so nothing is looked up."""
    if "://" in root:
        account, container, path = parse_address(root, None)
        return Lake(AdlsPath(f"abfss://{container}/{path}", protocol="abfss", account_name=account))
    if not os.path.isdir(root):
        raise UnreachableLake(
            f"LAKE_ROOT={root} is a folder of the machine that Dagster runs on, which Databricks cannot see; set it to "
            "abfss://container@account.dfs.core.windows.net/folder, or to a folder below /Volumes"
        )
    return Lake(UPath(root))


def _landed_of(work: Work) -> Callable[[Contract, Sequence[str]], list[LandedPartition]]:
    """Raw as the document says it; here no manifest is read."""

    def landed(contract: Contract, partitions: Sequence[str]) -> list[LandedPartition]:
        held = {partition.partition: partition for partition in work.landed}
        return [held[partition] for partition in partitions]

    return landed


def _key(work: Work) -> MaskingKey:
    """The masking key, from the secret scope or else the environment; it goes nowhere but into the SQL's parameters."""
    if work.secret_scope is not None and work.secret_key is not None:
        from databricks.sdk.runtime import dbutils

        key = dbutils.secrets.get(work.secret_scope, work.secret_key)
    else:
        key = os.environ.get("LAKE_PII_KEY", "")
    if not key or work.key_id is None:
        raise MaskingKeyError(
            f"{work.name} masks personal data and finds no key: set LAKE_DATABRICKS_SECRET_SCOPE to the secret scope "
            "that holds it (32 to 64 bytes), and LAKE_PII_KEY_ID to a name for it, a new one for each new key"
        )
    return MaskingKey.of(work.key_id, key.encode())


def _reading(work: Work) -> str:
    task = work.task
    if not isinstance(task, Step):
        hours = "every hour" if task.hours is None else f"{len(task.hours)} hour(s)"
        return f"{', '.join(task.names)} over {hours}"
    if not task.partitions:
        return "all partitions"
    span = f"{len(task.partitions)} partition(s), {task.partitions[0]} to {task.partitions[-1]}"
    if task.layer != "bronze":
        return span
    return f"{span}; {sum(len(p.files) for p in work.landed):,} raw file(s), {sum(p.rows for p in work.landed):,} rows"


def _done(result: StepResult | dict[str, dict[str, int]]) -> str:
    if not isinstance(result, StepResult):
        return (
            ", ".join(f"{name}: {sum(by.values()):,} broken row(s)" for name, by in result.items())
            or "nothing to check"
        )
    rows = sum(counts.rows_out for counts in result.counts.values())
    return f"{result.table} is at version {result.version}, {rows:,} rows of {result.table_rows:,} written"
