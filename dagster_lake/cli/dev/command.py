"""``lake dev``: Dagster's pages and its daemon, on one lake."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors


@readable_errors
def dev(
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="The port of the pages.")] = 3000,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
) -> None:
    """Open Dagster's UI on this lake, and run its schedules, its sensors and its queue, until Ctrl-C.

    The history of runs is that of this lake alone. Only one can be open on a lake at a time: two daemons on one history
    would run everything twice.

    **Examples**

        lake dev
        lake dev --port 3001
        lake --lake /tmp/other-lake dev --port 3001
    """
    from dagster_lake.cli.dev.serve import serve
    from dagster_lake.cli.shared.lake import existing_lake, settings

    chosen = settings()
    existing_lake(chosen)  # a lake of another format is told before anything runs
    serve(chosen, host, port)
