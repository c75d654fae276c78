"""Alerts as asset checks: a stream that holds alerts in the run's hours gives a warning, with the worst of them."""

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from dagster_lake.defs.hourly_checks import Evaluated, evaluated, hourly_check
from dagster_lake.defs.partitions import hours_if_any
from dagster_lake.defs.show.markdown import table
from dagster_lake.lake_resource import LakeResource
from dagster_lake.streams.alerts.check_names import NO_ALERTS

if TYPE_CHECKING:
    from dagster_lake.streams.alerts.kinds import AlertKind
    from dagster_lake.streams.alerts.worst import Alerts

WORST = 5


def alert_checks(kinds: "list[AlertKind]") -> list[dg.AssetChecksDefinition]:
    """One check a stream that gives alerts."""
    return [_check_of(kind) for kind in kinds]


def _check_of(kind: "AlertKind") -> dg.AssetChecksDefinition:
    stream = dg.AssetKey(["streams", kind.stream])
    spec = hourly_check(
        NO_ALERTS,
        asset=stream,
        description=f"There is no alert in the hour; the worst by {kind.worst} are shown.",
    )

    @dg.multi_asset_check(name=f"{stream.to_python_identifier()}_{NO_ALERTS}", specs=[spec])
    def no_alerts(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[Evaluated]:
        from dagster_lake.streams.alerts.worst import Alerts, alerts_of
        from dagster_lake.streams.alerts.written import written_hours

        run = hours_if_any(context)
        written = written_hours(lake.lake, [kind], run, {}).get(kind)
        alerts = Alerts() if written is None else alerts_of(lake.settings, kind, written, most=WORST)
        hours = None if run is None else {*run.keys, *alerts.numbers}
        yield from evaluated(context, spec.key, hours, partial(_judged, kind, alerts))

    return no_alerts


def _judged(kind: "AlertKind", alerts: "Alerts", hours: Collection[str] | None) -> dg.AssetCheckResult:
    from dagster_lake.streams.alerts.worst import worst_columns

    number = sum(count for hour, count in alerts.numbers.items() if hours is None or hour in hours)
    worst = [row for hour, row in alerts.worst if hours is None or hour in hours][:WORST]
    shown = {"worst": dg.MetadataValue.md(table(worst_columns(kind), worst))} if worst else {}
    return dg.AssetCheckResult(
        passed=number == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{number:,} alerts" if number else None,
        metadata={"alerts": number, **shown},
    )
