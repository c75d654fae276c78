"""``lake status``: what is in the lake."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from dagster_lake.operations.health.tables import TableHealth
    from dagster_lake.storage.listing import RawDataSet
    from dagster_lake.storage.paths import Lake


@readable_errors
def status() -> None:
    """Show what the lake holds: tables, rows, bytes, last version, freshest hour.

    `ver` is the Delta version, `age` the time since its commit, `hour` the newest lake hour or snapshot. Data sets
    whose newest data is older than their contract's latency are named below, and so are sinks that do not take their
    rows, and tables that cannot be read, with the command that mends each; the exit code is then 1. This looks at logs,
    and whether the files that they name are there; `lake doctor --deep` reads every file.

    **Examples**

        lake status
        lake --lake /data/lake status
    """
    from rich.console import Console
    from rich.markup import escape

    from dagster_lake.cli.shared.lake import EMPTY, existing_lake, settings
    from dagster_lake.cli.shared.text import path_text
    from dagster_lake.operations.health.tables import tables_health
    from dagster_lake.storage.listing import raw_data_sets

    console = Console(highlight=False)
    chosen = settings()
    lake = existing_lake(chosen)
    console.print(f"Lake: {path_text(chosen.root)}", soft_wrap=True, markup=False)
    found = list(tables_health(lake)) if lake else []
    landed = raw_data_sets(lake) if lake else []
    if not found and not landed:
        console.print(EMPTY)
        return
    if landed:
        console.print(_raw_table(landed))
    if found:
        console.print(_delta_table(found))
        for line in _late(lake):
            console.print(f"[yellow]late[/] {line}", soft_wrap=True)
    else:
        console.print("Raw has landed, but there are no tables yet; materialise them with:  lake demo")
    for line in _sinks(lake):
        console.print(f"[yellow]sink[/] {escape(line)}", soft_wrap=True)
    damaged = list(_damaged(lake)) if lake else []
    for problem in damaged:
        console.print(f"[bold red]damaged[/] {escape(problem)}", soft_wrap=True)
    if damaged:
        raise SystemExit(1)


def _damaged(lake: "Lake") -> "Iterator[str]":
    """What is wrong with raw's manifests, tables' logs, and which live files are not there."""
    from dagster_lake.engines.told_damage import damage_of
    from dagster_lake.operations.health.tables import raw_health
    from dagster_lake.storage.listing import tables

    yield from (one.problem for one in raw_health(lake) if one.problem is not None)
    for table in tables(lake):
        if (damage := damage_of([table.uri])) is not None:
            yield str(damage)


def _late(lake: "Lake | None") -> "Iterator[str]":
    """The data sets whose newest data is older than their contract says, one line each."""
    from dagster_lake.contract.model import contracts
    from dagster_lake.operations.health.newest_data import newest_data

    now = datetime.now(UTC)
    for newest in newest_data(lake, contracts().values()) if lake else ():
        if newest.is_late(now):
            yield f"{newest.data_set}: {newest.said(now)}"


def _sinks(lake: "Lake | None") -> "Iterator[str]":
    """The sinks that do not take their rows, one line each."""
    from dagster_lake.streams.sinks.trouble import troubles

    for trouble in troubles(lake, datetime.now(UTC)) if lake else ():
        yield (
            f"{trouble.why}. Since {trouble.since:%Y-%m-%d %H:%M} UTC, {trouble.tries} tries; again from "
            f"{trouble.next_try:%H:%M:%S} on"
        )


def _raw_table(landed: "list[RawDataSet]") -> "Table":
    table = _titled("Raw", "data set", "partitions", "first", "last")
    for data_set in landed:
        first, last = (data_set.partitions[0], data_set.partitions[-1]) if data_set.partitions else ("", "")
        table.add_row(data_set.name, str(len(data_set.partitions)), first, last)
    return table


def _delta_table(found: "list[TableHealth]") -> "Table":
    from dagster_lake.cli.shared.text import age_text, size_text

    now = datetime.now(UTC)
    table = _titled("Tables", "table", "rows", "bytes", "ver", "age", "hour")
    layer = found[0].layer
    for one in found:
        if one.layer != layer:
            table.add_section()
            layer = one.layer
        if one.changed_at is None:
            table.add_row(one.name, "", "", "", "", "cannot be read")
            continue
        size = size_text(one.bytes or 0)
        table.add_row(one.name, f"{one.rows:,}", size, str(one.version), age_text(one.changed_at, now), one.newest)
    return table


def _titled(title: str, *columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for column in columns:
        numeric = column in ("rows", "bytes", "ver", "age", "partitions")
        # On a narrow terminal names are folded, and numbers never cut.
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    return table
