"""A look at a table for people: its first rows as Markdown, with a bar for one measure."""

from dagster_lake.defs.show.markdown import cell
from dagster_lake.storage.delta.write import Pinned

ROWS = 8
_BAR = "█" * 10
_MEASURES = ("revenue", "total_orders_value", "pageviews")
_HIDDEN = ("_lake_hour", "_lake_day")


def preview(table: Pinned) -> str:
    """The rows that lead by the table's main measure, with a bar each; the first rows when it has none.

    Only the newest partition of a partitioned table is looked at.
    """
    from dagster_lake.storage.duckdb.files import reading
    from dagster_lake.storage.duckdb.scan import quoted, scan_sql

    newest = table.partitions()[-1:] if table.partition_column else None
    measure = next((name for name in _MEASURES if name in table.schema.names), None)
    order = f"ORDER BY {quoted(measure)} DESC NULLS LAST" if measure else ""
    with reading(table.uri) as con:
        found = con.execute(f"SELECT * FROM ({scan_sql(table, newest)}) {order} LIMIT {ROWS}")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    if not rows:
        return "no rows"
    most = float(rows[0][measure] or 0) if measure else 0
    shown = [name for name in names if name not in _HIDDEN]
    head = f"| {' | '.join(shown)} |{' |' if measure else ''}"
    lines = [head, "|" + "---|" * (len(shown) + bool(measure))]
    for row in rows:
        bar = f" {_bar(float(row[measure] or 0), most)} |" if measure else ""
        lines.append(f"| {' | '.join(cell(row[name]) for name in shown)} |{bar}")
    title = f"{table.partition_column} {newest[0]}\n\n" if newest else ""
    return title + "\n".join(lines)


def _bar(value: float, most: float) -> str:
    return _BAR[: round(len(_BAR) * value / most)] if most > 0 else ""
