"""Checks of what a database table says about time: rows that can land in no hour, and rows whose time was set back.

Each is a step of its own, so that a database which does not answer stops no other check.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from dagster_lake.asset_keys import newest_key, silver_key
from dagster_lake.contract.model import Contract, DatabaseSource, contracts
from dagster_lake.defs.hourly_checks import Evaluated, check_of, evaluated, no_rows
from dagster_lake.defs.partitions import hours_if_any
from dagster_lake.engines.step import Check
from dagster_lake.lake_resource import LakeResource

TIMES_GO_FORWARD = "times_go_forward"


def database_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of every contract whose source is a database."""
    of_databases = [c for c in contracts().values() if isinstance(c.source, DatabaseSource)]
    return [check for contract in of_databases for check in (_rows_have_times(contract), _times_go_forward(contract))]


def _rows_have_times(contract: Contract) -> dg.AssetChecksDefinition:
    assert isinstance(contract.source, DatabaseSource)
    times = " or ".join((contract.source.updated_at, *contract.source.fallback))

    @dg.asset_check(
        asset=silver_key(contract),
        name="rows_have_times",
        description=f"Every row of the source has {times}: one without a time that can be read lands in no hour.",
    )
    def rows_have_times(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        from dagster_lake.landing.rows import untimed

        found = untimed(contract, lake.sources.database, hours_if_any(context))
        if found.rows:
            context.log.error(
                f"{contract.name}: {found.rows:,} rows of the source are not in the lake: their {times} is null, or no "
                f"time that can be read, as in {'; '.join(found.examples)}. Mend the rows, or name a column that is "
                f"there instead: updated_at: [{times}, ...] in {contract.file}"
            )
        return dg.AssetCheckResult(
            passed=found.rows == 0,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"rows": found.rows, "examples": list(found.examples)},
        )

    return rows_have_times


def _times_go_forward(contract: Contract) -> dg.AssetChecksDefinition:
    spec = check_of(
        contract,
        TIMES_GO_FORWARD,
        asset=silver_key(contract),
        additional_deps=[newest_key(contract)],
        description="No row came with an earlier time of writing than it had: the latest rows would keep the old one.",
    )

    @dg.multi_asset_check(name=f"{silver_key(contract).to_python_identifier()}_{TIMES_GO_FORWARD}", specs=[spec])
    def times_go_forward(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[Evaluated]:
        run = hours_if_any(context)
        hours = tuple(run.keys) if run else None
        broken = lake.engine.check(Check(contract.name, hours, (TIMES_GO_FORWARD,)))[TIMES_GO_FORWARD]
        yield from evaluated(context, spec.key, hours, partial(no_rows, broken, dg.AssetCheckSeverity.WARN))

    return times_go_forward
