"""What ``lake demo`` says at the end: what was built, how to look at it, and the first lines of gold."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dagster_lake.cli.demo.run import Outcome
from dagster_lake.cli.demo.warnings import is_planted
from dagster_lake.cli.shared.first_rows import print_rows
from dagster_lake.cli.shared.lake import wanted_lake
from dagster_lake.cli.shared.text import path_text
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.listing import tables

SHOWN = "gold.engagements"
_LAYERS = ("sources", "raw", "bronze", "silver", "quarantine", "streams", "gold", "reports")
_QUESTION = "select city, sum(total_orders_value) as czk from gold.engagements group by city order by czk desc"


def print_report(console: Console, settings: Settings, outcome: Outcome) -> None:
    """Prints it all."""
    lake = wanted_lake(settings)
    if console.is_terminal:  # elsewhere each asset has had its line
        console.print(_built(outcome))
    else:
        console.print(_headline(outcome))
    if planted := [warning for warning in outcome.warnings if is_planted(warning)]:
        console.print(f"{len(planted)} warnings, all planted in the generated data so that there is something to see:")
        for warning in planted:
            console.print(f"  {warning.told}", markup=False)
    for warning in outcome.warnings:
        if warning not in planted:
            console.print(f"[yellow]warning[/] {escape(warning.told)}", soft_wrap=True)
    if outcome.late:
        console.print(f"Late by their contracts, for the day built is past: {', '.join(outcome.late)}", soft_wrap=True)
    gold = next((t for t in tables(lake) if t.name == SHOWN), None)
    pinned = pin(gold.uri) if gold else None
    if pinned is not None:
        console.print(f"[bold]{SHOWN}[/], {pinned.rows():,} rows, by value of orders:")
        print_rows(console, pinned, 3, order_by="total_orders_value")
    console.print("[bold]Look at it[/]")
    console.print("  make dev                          the graph and this run, in Dagster's UI")
    console.print("  lake status                       every table, with rows and freshest hour")
    console.print("  lake preview gold/daily_sales     columns and first rows of a table")
    console.print(f'  lake query "{_QUESTION}"', soft_wrap=True, markup=False)
    for report in sorted(lake.reports.glob("*.html"), key=str):
        console.print(f"  open {path_text(str(report))}", soft_wrap=True, markup=False)


def _built(outcome: Outcome) -> Table:
    table = Table(
        title=_headline(outcome),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("asset")
    table.add_column("rows", justify="right")
    table.add_column("seconds", justify="right")
    for built in sorted(outcome.built.values(), key=lambda b: (_place(b.asset), b.asset)):
        table.add_row(built.asset, "" if built.rows is None else f"{built.rows:,}", f"{built.seconds:.2f}")
    return table


def _headline(outcome: Outcome) -> str:
    return f"Built {len(outcome.built)} assets in {outcome.seconds:.1f} s; {outcome.checks_passed} checks passed"


def _place(asset: str) -> int:
    layer = asset.split("/")[0]
    return _LAYERS.index(layer) if layer in _LAYERS else len(_LAYERS)
