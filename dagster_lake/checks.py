"""Asset checks that read silver back: keys, rules and references of each contract, for the run's hours or all."""

from collections.abc import Iterator

import dagster as dg

from dagster_lake.assets.keys import newest_key, silver_key
from dagster_lake.assets.partitions import hours_if_any
from dagster_lake.contract import Contract, contracts
from dagster_lake.engines.base import Check
from dagster_lake.resources.lake import LakeResource


def contract_checks() -> list[dg.AssetChecksDefinition]:
    """One definition a contract, with a check for its keys, its rules, and each of its references."""
    return [_checks_of(contract) for contract in contracts().values()]


def _checks_of(contract: Contract) -> dg.AssetChecksDefinition:
    silver = silver_key(contract)
    references = {f"{p.name}_exists": p for p in contract.properties if p.references}
    specs = [
        dg.AssetCheckSpec(
            "keys_unique",
            asset=silver,
            blocking=True,
            description="No key occurs twice in a partition.",
        ),
        dg.AssetCheckSpec(
            "rules_hold",
            asset=silver,
            blocking=True,
            description="Required values are there, values are in range and allowed, PII is masked.",
        ),
        *(
            dg.AssetCheckSpec(
                name,
                asset=silver,
                additional_deps=[_referenced_key(p.references[0])] if p.references else [],
                description=f"Every {p.name} is one of {'.'.join(p.references or ())}; it may come later.",
            )
            for name, p in references.items()
        ),
    ]

    @dg.multi_asset_check(name=f"checks__{silver.path[-1]}", specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[dg.AssetCheckResult]:
        run = hours_if_any(context)
        hours = tuple(run.keys) if run else None
        selected = tuple(sorted(key.name for key in context.selected_asset_check_keys))
        for name, rows in lake.engine.check(Check(contract.name, hours, selected)).items():
            yield dg.AssetCheckResult(
                asset_key=silver,
                check_name=name,
                passed=rows == 0,
                severity=dg.AssetCheckSeverity.WARN if name in references else dg.AssetCheckSeverity.ERROR,
                metadata={"rows": rows},
            )

    return checks


def _referenced_key(data_set: str) -> dg.AssetKey:
    return newest_key(contracts()[data_set])
