"""The numbers of the engagement report, read from the lake."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from upath import UPath

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.paths import Lake

LATENCY_HOURS = 14 * 24
CITIES = 12


@dataclass(frozen=True)
class Group:
    """Users of one kind: how many, and what they did, together or each on average. ``value`` is CZK."""

    name: str
    users: int
    pageviews: float
    orders: float
    value: Decimal


@dataclass(frozen=True)
class Day:
    """One day's sales; ``revenue`` is CZK."""

    day: date
    orders: int
    revenue: Decimal


@dataclass(frozen=True)
class Latency:
    """One lake hour's latency, ms."""

    hour: str
    p50: float
    p95: float
    pageviews: int


@dataclass(frozen=True)
class EngagementData:
    """Everything the report shows. ``totals`` are users, pageviews, orders and revenue."""

    totals: Group
    average_stars: float | None
    by_vip: list[Group]
    by_city: list[Group]
    sales: list[Day]
    latency: list[Latency]
    versions: dict[str, int]


def read_engagement(lake: Lake, settings: Settings) -> EngagementData:
    """Reads gold.engagements, gold.daily_sales and the last 14 days of silver.pageviews, each at one version.

    Raises DeltaWriteError naming the table that does not exist yet.
    """
    engagements = _table(lake.table("gold", "engagements"))
    sales = _table(lake.table("gold", "daily_sales"))
    pageviews = _table(lake.table("silver", "pageviews"))
    with connection(settings) as con:
        con.execute(f"CREATE VIEW engagements AS {scan_sql(engagements)}")
        con.execute(f"CREATE VIEW sales AS {scan_sql(sales)}")
        con.execute(f"CREATE VIEW pageviews AS {scan_sql(pageviews, pageviews.partitions()[-LATENCY_HOURS:])}")
        value = "coalesce(total_orders_value, 0)"
        average = f"count(*), avg(pageviews), avg(orders), avg({value})::DECIMAL(18, 2)"
        together = (
            "count(*), coalesce(sum(pageviews), 0), coalesce(sum(orders), 0), "
            f"coalesce(sum({value}), 0)::DECIMAL(18, 2)"
        )
        totals = con.execute(f"SELECT 'all', {together} FROM engagements").fetchall()
        stars = con.execute("SELECT avg(avg_stars) FROM engagements").fetchall()
        by_vip = con.execute(
            f"SELECT CASE WHEN is_vip THEN 'VIP' ELSE 'others' END, {average} FROM engagements "
            "GROUP BY is_vip ORDER BY is_vip DESC"
        ).fetchall()
        by_city = con.execute(
            f"SELECT coalesce(city, 'unknown'), {together} FROM engagements GROUP BY 1 "
            f"ORDER BY 5 DESC, 1 LIMIT {CITIES}"
        ).fetchall()
        days = con.execute("SELECT day, orders, revenue FROM sales ORDER BY day").fetchall()
        latency = con.execute(
            "SELECT _lake_hour, quantile_cont(latency, 0.5), quantile_cont(latency, 0.95), count(*) "
            "FROM pageviews GROUP BY 1 ORDER BY 1"
        ).fetchall()
    return EngagementData(
        totals=Group(*totals[0]),
        average_stars=stars[0][0],
        by_vip=[Group(*row) for row in by_vip],
        by_city=[Group(*row) for row in by_city],
        sales=[Day(*row) for row in days],
        latency=[Latency(*row) for row in latency],
        versions={f"{t.uri.parent.name}.{t.uri.name}": t.version for t in (engagements, sales, pageviews)},
    )


def _table(uri: UPath) -> delta.Pinned:
    pinned = delta.pin(uri)
    if pinned is None:
        raise delta.DeltaWriteError(f"{uri.parent.name}.{uri.name} does not exist yet; materialise it first")
    return pinned
