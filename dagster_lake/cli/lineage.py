"""``lake lineage``: the lineage of the runs so far, where no daemon sends it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import DagsterInstance
    from openlineage.client.event_v2 import RunEvent


@readable_errors
def lineage(
    to: Annotated[
        Path | None,
        typer.Option(help="Write the events to this file, one JSON object a line, instead of sending them."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only runs that changed since that day, UTC.")
    ] = None,
) -> None:
    """Send what runs read and wrote as OpenLineage events.

    To where OPENLINEAGE_URL or OPENLINEAGE_CONFIG say, or into a file. Sending twice does no harm.

    **Examples**

        lake lineage --to lineage.jsonl
        lake lineage --since 2026-01-05
    """
    from dagster import DagsterInstance

    from dagster_lake.cli.shared.dagster_home import at_dagster_home
    from dagster_lake.cli.shared.errors import CommandError
    from dagster_lake.operations.lineage.emit import LineageError, require_library, send, write

    file = to.absolute() if to else None
    try:
        require_library()
        with at_dagster_home(), DagsterInstance.get() as instance:
            events = _events(instance, since)
            count = write(events, file) if file else send(events)
    except LineageError as error:
        raise CommandError(str(error)) from None
    typer.echo(f"{count} events {f'written to {to}' if to else 'sent'}")


def _events(instance: "DagsterInstance", since: datetime | None) -> "Iterator[RunEvent]":
    from datetime import UTC

    from dagster import RunsFilter

    from dagster_lake.cli.shared.lake import settings, wanted_lake
    from dagster_lake.contract.model import contracts
    from dagster_lake.definitions import defs
    from dagster_lake.operations.lineage.datasets import Names
    from dagster_lake.operations.lineage.events import RunEvents
    from dagster_lake.operations.telemetry.runs import read_run

    chosen = settings()
    events = RunEvents(defs, Names(wanted_lake(chosen), chosen, contracts()))
    changed = RunsFilter(updated_after=since.replace(tzinfo=UTC) if since else None)
    for record in instance.get_run_records(changed, order_by="update_timestamp", ascending=True):
        yield from events.of(read_run(instance, record))
