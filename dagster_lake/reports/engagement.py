"""The engagement report: one self-contained HTML page, charts included, that needs no network."""

from pathlib import Path

from dagster_lake.reports.charts import bar_chart, column_chart, line_chart
from dagster_lake.reports.engagement_data import EngagementData

_TEMPLATE = Path(__file__).with_name("engagement.html.j2")


def render_engagement(data: EngagementData) -> str:
    """The page. Every value from the lake is escaped."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True).from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(data=data, **{name: Markup(svg) for name, svg in engagement_charts(data).items()})


def engagement_charts(data: EngagementData) -> dict[str, str]:
    """The report's charts as SVG: ``cities``, ``sales`` and ``latency``."""
    nothing = "<p>Nothing yet.</p>"
    return {
        "cities": bar_chart([g.name for g in data.by_city], [float(g.value) for g in data.by_city], "CZK")
        if data.by_city
        else nothing,
        "sales": column_chart([str(d.day) for d in data.sales], [float(d.revenue) for d in data.sales], "CZK")
        if data.sales
        else nothing,
        "latency": line_chart(
            [h.hour[5:].replace("T", " ") + "h" for h in data.latency],
            {"median": [h.p50 for h in data.latency], "95 %": [h.p95 for h in data.latency]},
            "ms",
        )
        if data.latency
        else nothing,
    }
