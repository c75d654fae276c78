"""Prints the rows of a query as a table, Markdown, CSV or JSON."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice

import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dagster_lake.cli.shared.format import Format
from dagster_lake.cli.shared.text import is_number, value_text

Row = tuple[object, ...]
_WIDEST_VALUE = 60
"""Of a row that is laid out upright; a longer value is cut, and `--format csv` has it whole."""


def render(result: pa.RecordBatchReader, form: Format, limit: int) -> None:
    """Prints at most ``limit`` rows (0 for all) to standard output, and a note about the rest to standard error."""
    names = list(result.schema.names)
    rows = _rows(result)
    shown = islice(rows, limit) if limit else rows
    printers: dict[Format, Callable[[list[str], Iterator[Row]], int]] = {
        Format.TABLE: _print_table,
        Format.MARKDOWN: _print_markdown,
        Format.CSV: _print_csv,
        Format.JSON: _print_json,
    }
    printed = printers[form](names, iter(shown))
    if limit and printed == limit and next(rows, None) is not None:
        Console(stderr=True, highlight=False).print(f"[dim]The first {limit} rows; --limit 0 prints all.[/]")


def all_rows(result: pa.RecordBatchReader) -> tuple[list[str], list[Row]]:
    """The column names and every row of a result that is known to be small."""
    return list(result.schema.names), list(_rows(result))


def rich_table(names: list[str], rows: list[Row]) -> Table:
    """The rows as a table for people."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(names):
        numeric = any(is_number(row[position]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(plain(value) for value in row))
    return table


def plain(value: object) -> str:
    """A value as text that rich prints as it is."""
    from rich.markup import escape

    return "[dim]null[/]" if value is None else escape(value_text(value))


def _rows(result: pa.RecordBatchReader) -> Iterator[Row]:
    for batch in result:
        columns = [column.to_pylist() for column in batch.columns]
        yield from zip(*columns, strict=True)


def print_laid_out(console: Console, names: list[str], rows: list[Row]) -> None:
    """Prints rows as a table where it fits the terminal, else one row below the other."""
    if not rows or _width(names, rows) <= console.width:
        console.print(rich_table(names, rows))
        return
    for number, row in enumerate(rows, 1):
        console.rule(f"row {number}", align="left", style="dim")
        console.print(_upright(names, row))


def _width(names: list[str], rows: list[Row]) -> int:
    values = [[len(value_text(row[i])) for row in rows] for i in range(len(names))]
    return sum(max(len(name), *lengths) + 3 for name, lengths in zip(names, values, strict=True))


def _upright(names: list[str], row: Row) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True, max_width=_WIDEST_VALUE)
    for name, value in zip(names, row, strict=True):
        table.add_row(name, plain(value))
    return table


def _print_table(names: list[str], rows: Iterator[Row]) -> int:
    found = list(rows)
    print_laid_out(Console(highlight=False), names, found)
    return len(found)


def _print_markdown(names: list[str], rows: Iterator[Row]) -> int:
    found = list(rows)
    numeric = [any(is_number(row[i]) for row in found) for i in range(len(names))]
    print(f"| {' | '.join(names)} |")
    print(f"|{'|'.join('--:' if right else '---' for right in numeric)}|")
    for row in found:
        print(f"| {' | '.join(value_text(value).replace('|', chr(92) + '|') for value in row)} |")
    return len(found)


def _print_csv(names: list[str], rows: Iterator[Row]) -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    count = 0
    for row in rows:
        writer.writerow(["" if value is None else _portable(value) for value in row])
        count += 1
    return count


def _print_json(names: list[str], rows: Iterator[Row]) -> int:
    keys = [name if names.index(name) == position else f"{name}_{position}" for position, name in enumerate(names)]
    count = 0
    print("[", end="")
    for count, row in enumerate(rows, 1):
        document = json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False, default=_json_value)
        print(f"{',' if count > 1 else ''}\n  {document}", end="")
    print("\n]" if count else "]")
    return count


def _portable(value: object) -> object:
    """A value as CSV carries it: nested values as JSON, everything else exactly."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=_json_value)
    return repr(value) if isinstance(value, float) else _text_or_same(value)


def _text_or_same(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value).lower() if isinstance(value, bool) else value


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)
