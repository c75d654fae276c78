"""Shows the deliveries that were not sent, and sends those again that were set aside."""

import os
import socket

from rich.console import Console

from dagster_lake import clock
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.channels import addresses
from dagster_lake.streams.alerts.notices import Run
from dagster_lake.streams.alerts.outbox import Listed, unsent
from dagster_lake.streams.alerts.sender import Sender
from dagster_lake.streams.alerts.shown import shown_text


def print_unsent(lake: Lake, settings: Settings, console: Console) -> None:
    """Prints a paragraph for each delivery that was not sent, the oldest first."""
    found = unsent(lake, settings, Run("lake alerts list", clock.utc_now()))
    if not found:
        console.print("Every alert that is to be sent was taken.")
    for delivery in found:
        console.print(_told(delivery), markup=False, soft_wrap=True)
    if any(delivery.state == "failed" for delivery in found):
        console.print("What is set aside is sent by: lake alerts send-again", soft_wrap=True)


def send_again(lake: Lake, settings: Settings, chosen: list[str] | None, console: Console) -> bool:
    """Sends what was set aside and says what came of it; whether all was taken. Raises CommandError for a delivery that
    is not set aside, or when no channel has an address."""
    if not addresses(settings):
        raise CommandError(
            "neither LAKE_ALERT_WEBHOOK nor LAKE_ALERT_CHANNELS is set, so that there is nowhere to send to"
        )
    name = f"lake alerts {socket.gethostname()} {os.getpid()}"
    aside = {d.id for d in unsent(lake, settings, Run(name, clock.utc_now())) if d.state == "failed"}
    if unknown := sorted(set(chosen or ()) - aside):
        raise CommandError(f"{', '.join(unknown)}: not set aside; lake alerts list shows what is")
    if not aside:
        console.print("Nothing is set aside.")
        return True
    sent = Sender(lake, settings, name, lambda line: None).send_again(chosen)
    console.print(f"{sent.alerts:,} alerts sent, {sent.set_aside:,} set aside.", soft_wrap=True)
    if sent.failure:
        console.print(sent.failure, markup=False, soft_wrap=True)
    return sent.failure is None


def _told(delivery: Listed) -> str:
    state = {"failed": "set aside", "due": "to be sent"}.get(delivery.state, "waits")
    when = f", tried again from {delivery.next_try:%Y-%m-%d %H:%M:%S} UTC" if delivery.next_try else ""
    why = f"\n  {shown_text(delivery.error)}" if delivery.error else ""
    return (
        f"{delivery.id}  {delivery.channel}: {state}{when}: {delivery.alerts:,} alerts, the first of "
        f"{delivery.first_at:%Y-%m-%d %H:%M:%S} UTC, refused {delivery.failures} times{why}"
    )
