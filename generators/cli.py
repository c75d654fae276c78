"""`python -m generators`: write a data set of any size to a file, send events live, or fill a database."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from generators.cli_database import HELP as _DATABASE_HELP
from generators.cli_database import database
from generators.cli_stream import HELP as _STREAM_HELP
from generators.cli_stream import stream
from generators.dials import Dirt
from generators.export import Format, export
from generators.world import World

_HELP = """
Make data for the lake: rows of a data set in a file, events sent to an event hub as they happen, or a database's rows.

**Examples**

A million users as JSON lines (more: `python -m generators write --help`):

`python -m generators users --rows 1_000_000 --out users.jsonl`

A million orders as Parquet, with order_items.parquet beside it:

`python -m generators orders --rows 1_000_000 --format parquet --out orders.parquet`

A thousand pageviews a second for ten minutes (more: `python -m generators stream --help`):

`python -m generators stream pageviews --rate 1000/s --for 10m`

A day of orders in a database (more: `python -m generators database --help`):

`python -m generators database --url sqlite:///shop.db --hours 24`
"""

_EXAMPLES = """
Write any number of rows of a data set. The same options always give the same bytes.

**Examples**

A million users as JSON lines:

`python -m generators users --rows 1_000_000 --out users.jsonl`

A hundred thousand products, one JSON file each:

`python -m generators products --rows 100_000 --out products/`

A million orders as Parquet, with order_items.parquet beside it:

`python -m generators orders --rows 1_000_000 --format parquet --out orders.parquet`

Pageviews 5,000,000 to 5,999,999 on a bad day, but without late ones:

`python -m generators pageviews --start-row 5_000_000 --rows 1_000_000 --dirt heavy --late 0 --out views.jsonl`
"""


class _WritingByDefault(TyperGroup):
    """`python -m generators users ...` writes users: the command's name need not be given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["write", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_WritingByDefault, help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)
app.command(help=_STREAM_HELP)(stream)
app.command(help=_DATABASE_HELP)(database)


class DataSetName(StrEnum):
    """The data sets."""

    USERS = "users"
    VIP_USERS = "vip_users"
    PRODUCTS = "products"
    ORDERS = "orders"
    ORDER_ITEMS = "order_items"
    PAGEVIEWS = "pageviews"
    STARS = "stars"


class Preset(StrEnum):
    """How dirty, all dials at once."""

    NONE = "none"
    DEFAULT = "default"
    HEAVY = "heavy"


_PRESETS = {Preset.NONE: Dirt.none(), Preset.DEFAULT: Dirt(), Preset.HEAVY: Dirt.heavy()}

Dial = Annotated[float | None, typer.Option(min=0.0, max=1.0, rich_help_panel="Single dials (shares, 0 to 1)")]


@app.command(help=_EXAMPLES)
def write(
    dataset: Annotated[DataSetName, typer.Argument(help="What to write.")],
    rows: Annotated[int, typer.Option(min=1, help="Clean rows to write (order_items: orders); dirt comes on top.")],
    out: Annotated[Path, typer.Option(help="The file to write, or the folder with --format files. Replaced if there.")],
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 42,
    start_row: Annotated[int, typer.Option(min=0, help="The first row; row 0 of hourly data is at the epoch.")] = 0,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="[default: files (one per product) for products, else jsonl]"),
    ] = None,
    users: Annotated[int | None, typer.Option(min=1, help="How many users rows refer to. [default: 1000]")] = None,
    products: Annotated[int | None, typer.Option(min=1, help="How many products there are. [default: 200]")] = None,
    dirt: Annotated[Preset, typer.Option(help="How dirty; the single dials below change it further.")] = Preset.NONE,
    duplicates: Dial = None,
    empty_client_ip: Dial = None,
    malformed: Dial = None,
    late: Dial = None,
    orphans: Dial = None,
    unknown_fields: Dial = None,
    invalid_values: Dial = None,
) -> None:
    """Write a data set; the help text is in _EXAMPLES."""
    dials = {
        "duplicates": duplicates,
        "empty_client_ip": empty_client_ip,
        "malformed": malformed,
        "late": late,
        "orphans": orphans,
        "unknown_fields": unknown_fields,
        "invalid_values": invalid_values,
    }
    console = Console(stderr=True)
    try:
        dirty = replace(_PRESETS[dirt], **{name: rate for name, rate in dials.items() if rate is not None})
        world = _world(dataset, seed, start_row + rows, users, products)
        form = form or (Format.FILES if dataset is DataSetName.PRODUCTS else Format.JSONL)
        with _progress(console) as progress:
            task = progress.add_task(dataset, total=rows)
            wanted = range(start_row, start_row + rows)
            written = export(world, dataset, wanted, out, form, dirty, lambda done: progress.advance(task, done))
    except (ValueError, OSError) as problem:
        console.print(f"[red]Error:[/red] {problem}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from problem
    console.print(f"{written:,} rows written to {out}", highlight=False, soft_wrap=True)


def _world(dataset: DataSetName, seed: int, rows: int, users: int | None, products: int | None) -> World:
    """A world large enough for the rows asked."""
    if dataset is DataSetName.USERS:
        users = users or rows
    if dataset is DataSetName.PRODUCTS:
        products = products or rows
    if dataset is DataSetName.VIP_USERS:
        users = users or max(rows, 1_000)
        if rows > users:
            raise ValueError(f"--rows up to {rows} asks for more VIPs than the {users} users: raise --users")
    return World(seed=seed, users=users or 1_000, vip_users=0, products=products or 200)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
