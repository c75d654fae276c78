"""``lake alerts``: what the webhook did not take, and sending it again."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

alerts = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Look after alerts that were not delivered.

    Alerts are sent by themselves, and again while the webhook is away. What it refuses five times, or did not take for
    a day, is set aside: it stops nothing else, and waits for a person.

    **Examples**

        lake alerts list
        lake alerts send-again
    """,
)


@alerts.command("list")
@readable_errors
def list_command() -> None:
    """List the deliveries of the last three days that the webhook has not taken, and why.

    **Examples**

        lake alerts list
    """
    from rich.console import Console

    from dagster_lake.cli.alerts.listing import print_unsent
    from dagster_lake.cli.shared.lake import settings, wanted_lake

    chosen = settings()
    print_unsent(wanted_lake(chosen), chosen, Console(highlight=False))


@alerts.command("send-again")
@readable_errors
def send_again_command(
    deliveries: Annotated[
        list[str] | None, typer.Argument(metavar="[DELIVERY]...", help="Those of `lake alerts list`. [default: all]")
    ] = None,
) -> None:
    """Send what was set aside, once more and now; what is refused again is set aside again.

    The exit code is 3 when the webhook did not take everything.

    **Examples**

        lake alerts send-again
        lake alerts send-again 8f7b7f1e1038a1cd311dd1895c9e4295
    """
    from rich.console import Console

    from dagster_lake.cli.alerts.listing import send_again
    from dagster_lake.cli.shared.lake import settings, wanted_lake

    chosen = settings()
    if not send_again(wanted_lake(chosen), chosen, deliveries or None, Console(highlight=False)):
        raise SystemExit(3)
