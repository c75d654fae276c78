"""Asset checks that read silver back: keys, rules and references of each contract, for the run's hours or all.

Checks that block and checks that warn are separate steps. A reference is looked up in another data set's table; in one
step with blocking checks, that data set's failure would skip these as well, and with them everything downstream.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from dagster_lake.asset_keys import newest_key, silver_key
from dagster_lake.contract.model import Contract, contracts
from dagster_lake.defs.hourly_checks import Evaluated, check_of, evaluated, no_rows
from dagster_lake.defs.partitions import hours_if_any
from dagster_lake.engines.step import Check
from dagster_lake.lake_resource import LakeResource


def contract_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of each contract's keys and rules, and of its references where it has any."""
    found = []
    for contract in contracts().values():
        found.append(_checks(contract, f"checks__{silver_key(contract).path[-1]}", _blocking(contract)))
        if references := _references(contract):
            found.append(_checks(contract, f"references__{silver_key(contract).path[-1]}", references))
    return found


def _blocking(contract: Contract) -> list[dg.AssetCheckSpec]:
    return [
        check_of(
            contract,
            "keys_unique",
            asset=silver_key(contract),
            blocking=True,
            description="No key occurs twice in a partition; of events, within 24 hours.",
        ),
        check_of(
            contract,
            "rules_hold",
            asset=silver_key(contract),
            blocking=True,
            description="Required values are there, values are in range and allowed, PII is masked.",
        ),
    ]


def _references(contract: Contract) -> list[dg.AssetCheckSpec]:
    return [
        check_of(
            contract,
            f"{p.name}_exists",
            asset=silver_key(contract),
            additional_deps=[newest_key(contracts()[p.references[0]])],
            description=f"Every {p.name} is one of {'.'.join(p.references)}; it may come later.",
        )
        for p in contract.properties
        if p.references
    ]


def _checks(contract: Contract, name: str, specs: Sequence[dg.AssetCheckSpec]) -> dg.AssetChecksDefinition:
    blocking = {spec.name for spec in specs if spec.blocking}

    @dg.multi_asset_check(name=name, specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[Evaluated]:
        run = hours_if_any(context)
        hours = tuple(run.keys) if run else None
        selected = tuple(sorted(key.name for key in context.selected_asset_check_keys))
        for check, broken in lake.engine.check(Check(contract.name, hours, selected)).items():
            severity = dg.AssetCheckSeverity.ERROR if check in blocking else dg.AssetCheckSeverity.WARN
            key = dg.AssetCheckKey(silver_key(contract), check)
            judged = partial(no_rows, broken, severity)
            yield from evaluated(context, key, None if contract.cadence == "snapshot" else hours, judged)

    return checks
