"""Alerts as asset checks: a stream that holds alerts in the run's hours gives a warning, with the worst of them."""

from typing import TYPE_CHECKING

import dagster as dg

from dagster_lake.alerts.check_names import NO_ALERTS
from dagster_lake.assets.markdown import table
from dagster_lake.assets.partitions import hours_if_any
from dagster_lake.resources.lake import LakeResource

if TYPE_CHECKING:
    from dagster_lake.alerts.kinds import AlertKind

WORST = 5


def alert_checks(kinds: "list[AlertKind]") -> list[dg.AssetChecksDefinition]:
    """One check a stream that gives alerts."""
    return [_check_of(kind) for kind in kinds]


def _check_of(kind: "AlertKind") -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=NO_ALERTS,
        asset=dg.AssetKey(["streams", kind.stream]),
        description=f"There is no alert in the hours that the run wrote; the worst by {kind.worst} are shown.",
    )
    def no_alerts(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        from dagster_lake.alerts.worst import worst_columns, worst_of
        from dagster_lake.alerts.written import written_hours

        written = written_hours(lake.lake, [kind], hours_if_any(context), {}).get(kind)
        alerts, worst = (0, []) if written is None else worst_of(lake.settings, kind, written, most=WORST)
        shown = {"worst": dg.MetadataValue.md(table(worst_columns(kind), worst))} if worst else {}
        return dg.AssetCheckResult(
            passed=alerts == 0,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{alerts:,} alerts" if alerts else None,
            metadata={"alerts": alerts, **shown},
        )

    return no_alerts
