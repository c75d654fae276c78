"""Report assets: rendered pages, linked from the UI."""

import time
from collections.abc import Iterator

import dagster as dg
from upath import UPath

from dagster_lake.defs.show.metadata import bars
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.project import ProjectSettings
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import local_path
from dagster_lake.storage.publish import publish


def report_assets() -> list[dg.AssetsDefinition]:
    """The reports; they are of the shop's models, and there are none without them."""
    return [engagement_report] if ProjectSettings().has_shop_models else []


@dg.asset(
    key=["reports", "engagement"],
    deps=[["gold", "engagements"], ["gold", "daily_sales"], ["silver", "pageviews"]],
    group_name="reports",
    kinds={"html"},
    owners=["team:shop"],
    backfill_policy=dg.BackfillPolicy.single_run(),
    description="One HTML page: engagement by VIP and city, sales by day, latency by hour. Needs no network to read.",
)
def engagement_report(lake: LakeResource) -> Iterator[dg.MaterializeResult]:
    """Renders ``<lake>/reports/engagement.html``; a reader sees the old page or the new one."""
    from dagster_lake.commit import commit
    from dagster_lake.reports.engagement import render_engagement
    from dagster_lake.reports.engagement_data import read_engagement

    started = time.monotonic()
    data = read_engagement(lake.lake, lake.settings)
    file = lake.lake.reports / "engagement.html"
    page = render_engagement(data)
    with commit("reports.engagement"):
        publish(file, page)
    yield dg.MaterializeResult(
        metadata={
            "page": dg.MetadataValue.url(_url(file)),
            "path": dg.MetadataValue.path(str(file)),
            "order_value_by_city": dg.MetadataValue.md(bars({g.name: int(g.value) for g in data.by_city})),
            "latency_median_by_hour": dg.MetadataValue.md(bars({h.hour: round(h.p50) for h in data.latency})),
            "seconds": round(time.monotonic() - started, 3),
        }
    )


def _url(page: UPath) -> str:
    return str(page) if is_adls(page) else local_path(page).resolve().as_uri()
