"""``lake stream``: events into the lake as they arrive."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.durations import seconds
from dagster_lake.cli.shared.errors import readable_errors


@readable_errors
def stream(
    for_: Annotated[
        float | None,
        typer.Option("--for", parser=seconds, metavar="TIME", help="End after this long. [default: on Ctrl-C]"),
    ] = None,
    every: Annotated[
        float, typer.Option(parser=seconds, metavar="TIME", help="How often to look for new events.")
    ] = "1s",  # type: ignore[assignment]  # typer passes the text through the parser
    data_set: Annotated[
        list[str] | None,
        typer.Option("--data-set", metavar="NAME", help="One of the data sets that come as events. [default: all]"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, make the tables, and end.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Tell Dagster of each hour that is finished, as materializations.")
    ] = False,
) -> None:
    """Land events as they arrive, tell of alerts at once, and keep bronze, silver and the streams fresh.

    One process with everything warm does what Dagster's runs do of the same hours, sooner: new events land every
    second, an alert is told about a second after its event arrived, and the tables of the open hour are made anew as
    often as the machine can, every 15 s at most (LAKE_STREAM_SECONDS). An hour that has ended is finished by itself.

    It can be stopped with Ctrl-C, killed and started again at any time, beside Dagster's runs: nothing is lost or
    doubled. `python -m generators stream` sends events to try it with.

    With --once, the exit code is 3 when the webhook did not take every alert, or a sink not all rows; `lake alerts
    list` and `lake status` show what is left.

    **Examples**

        lake stream
        lake stream --for 10m --every 500ms
        lake stream --data-set pageviews --report
        lake stream --once
    """
    from dagster_lake.cli.stream.run import ONCE, run

    run(ONCE if once else for_, every, data_set or [], report)
