"""Carries out ``lake load``: each part does what is lacking, so that an interrupted load is simply run again."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dagster_lake import clock
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource, contracts
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import DEFAULT_FIRST_HOUR, Lake, is_remote

if TYPE_CHECKING:
    from dagster_lake.engines.step import Engine

CHUNK_HOURS = 500
"""Hours that one step of the engine gets; it cuts them by rows itself."""


def load_history(name: str, since: str | None, settings: Settings, console: Console, *, gold: bool) -> None:
    """Loads the history of the data set ``name``. Raises CommandError for one that has none, or a date that is none."""
    from dagster_lake.engine_choice import engine_of
    from dagster_lake.landing.history import History, history_of, land_history
    from dagster_lake.sources.choice import open_sources

    contract, first_day = _contract(name), _date(since)
    lake = Lake.of(settings)
    database = open_sources(settings, lake).database
    until = clock.utc_now().replace(minute=0, second=0, microsecond=0)
    with console.status(f"Asking the database which hours of {name} have rows ..."):
        found = history_of(contract, lake, database, until)
    history = History({h: n for h, n in found.rows.items() if h >= str(first_day or "")}, found.landed)
    missing = history.missing
    rows = sum(history.rows[hour] for hour in missing)
    if missing:
        _begin_with(lake, settings, missing[0])
        console.print(f"{name}: {rows:,} rows of {len(missing):,} hours, {missing[0]} to {missing[-1]}", soft_wrap=True)
    with _progress(console) as progress:
        task = progress.add_task("raw: rows", total=rows)
        for _, landed in land_history(contract, lake, database, history, until):
            progress.advance(task, landed)
        engine = engine_of(lake, contracts(), settings)
        withheld = _make_tables(contract, lake, settings, engine, progress)
        if gold and (made := list(history.rows)):
            _make_gold(lake, settings, made[-1], progress)
    for hour, reason in withheld.items():
        console.print(f"[yellow]silver of {hour} was withheld:[/] {reason}", soft_wrap=True)
    told = f"{name} is in the lake until {until:%Y-%m-%dT%H:%M} UTC. The first hour is {lake.first_hour()}."
    console.print(told, soft_wrap=True)
    if withheld:
        raise CommandError(f"{len(withheld)} hours of {name} are withheld from silver; mend them and load again")


def _contract(name: str) -> Contract:
    found = contracts()
    tables = [c.name for c in found.values() if isinstance(c.source, DatabaseSource)]
    if name not in found:
        raise CommandError(f"there is no data set {name!r}; load one of: {', '.join(tables)}")
    contract = found[name]
    if isinstance(contract.source, DatabaseSource):
        return contract
    if isinstance(contract.source, EventHubSource):
        raise CommandError(
            f"{name} comes from an event hub, which keeps events for days only: what it still has is landed by its "
            f"hours (dagster asset materialize --partition); load one of: {', '.join(tables)}"
        )
    raise CommandError(f"{name} comes as files, each a whole snapshot: drop them; load one of: {', '.join(tables)}")


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise CommandError(f"--from {text!r} is not a date; write it as 2024-01-01") from None


def _begin_with(lake: Lake, settings: Settings, hour: str) -> None:
    """Moves the lake's first hour back. A remote one moves by its setting alone, which Dagster reads as well."""
    if is_remote(settings.root) and hour < (settings.first_hour or DEFAULT_FIRST_HOUR):
        raise CommandError(
            f"the oldest row is of {hour}, before the first hour that the settings say: set LAKE_FIRST_HOUR={hour} "
            "here and wherever Dagster runs, and load again (or leave older rows out with --from)"
        )
    lake.move_first_hour_back(hour)


def _make_tables(
    contract: Contract, lake: Lake, settings: Settings, engine: "Engine", progress: Progress
) -> dict[str, str]:
    """Bronze, silver and the latest rows of all landed hours that lack them; gives what silver refused."""
    from dagster_lake.engines.judged import accepted_loads
    from dagster_lake.engines.made import tables_made
    from dagster_lake.engines.step import Step
    from dagster_lake.landing.source_look import unmerged_hours
    from dagster_lake.storage.duckdb.connection import connection

    withheld: dict[str, str] = {}
    noted, accepted = _noted(contract, lake), accepted_loads(lake, contract)
    unmade = sorted({*_unmade(contract, lake), *noted})
    task = progress.add_task("bronze and silver: hours", total=len(unmade))
    for chunk in _chunks(unmade):
        engine.run(Step(contract.name, "bronze", chunk))
        withheld.update(engine.run(Step(contract.name, "silver", chunk, accepted=accepted)).withheld)
        progress.advance(task, len(chunk))
    with connection(settings) as con:
        unmerged = sorted({*unmerged_hours(con, lake, contract), *noted})
    task = progress.add_task("latest rows: hours", total=len(unmerged))
    for chunk in _chunks(unmerged):
        engine.run(Step(contract.name, "newest", chunk))
        progress.advance(task, len(chunk))
    tables_made(lake, contract, unmade)
    return withheld


def _noted(contract: Contract, lake: Lake) -> set[str]:
    """The landed hours whose tables a landing has noted as not made yet, ours or another one's."""
    from dagster_lake.landing.land import partitions
    from dagster_lake.storage.unfinished import unfinished

    noted = {hour for hour, what in unfinished(lake).items() if contract.name in what}
    return noted & {*partitions(lake, contract)} if noted else noted


def _unmade(contract: Contract, lake: Lake) -> list[str]:
    """The landed hours with rows, of which neither silver nor quarantine has any."""
    from dagster_lake.landing.land import manifests, partitions
    from dagster_lake.storage.delta.write import pin
    from dagster_lake.storage.tables import quarantine_table, silver_table

    tables = [pin(of(lake, contract).uri) for of in (silver_table, quarantine_table)]
    made = {hour for table in tables if table for hour in table.partitions()}
    lacking = [hour for hour in partitions(lake, contract) if hour not in made]
    return [manifest.partition for manifest in manifests(lake, contract, lacking) if manifest.rows]


def _make_gold(lake: Lake, settings: Settings, hour: str, progress: Progress) -> None:
    """Gold by the hour, which finds out itself which hours of silver it has not read, and gold that is made whole."""
    from dagster_lake.dbt_runner.manifest import HOURLY_TAG, STREAMS, manifest
    from dagster_lake.dbt_runner.run import build
    from dagster_lake.storage.delta.write import pin

    models = [n for n in manifest()["nodes"].values() if n["resource_type"] == "model" and n["schema"] != STREAMS]
    hourly = [n for n in models if HOURLY_TAG in n["tags"]]
    known = all((table := pin(lake.table("gold", n["alias"]))) and table.actions.num_rows for n in hourly)
    task = progress.add_task("gold: tables", total=len(models))
    for nodes, hours in (
        (hourly, HourRange.of(hour) if known else None),
        ([n for n in models if n not in hourly], None),
    ):
        for _ in build([n["unique_id"] for n in nodes], hours, lake, settings):
            progress.advance(task)


def _chunks(hours: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(hours[start : start + CHUNK_HOURS]) for start in range(0, len(hours), CHUNK_HOURS)]


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
