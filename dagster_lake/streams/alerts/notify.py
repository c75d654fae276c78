"""Telling of alerts: each is noted once in the lake's own log, said in the run's log, and sent to the webhook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dagster_lake import clock
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.kinds import AlertKind
from dagster_lake.streams.alerts.notices import Noted, Rows, Run, note
from dagster_lake.streams.alerts.sender import Sender, Sent
from dagster_lake.streams.alerts.text import said

SAID = 20
"""Alerts that are said one by one in a run's log; of the others the number."""


@dataclass(frozen=True)
class Outcome:
    """What a run told: new alerts by state, what was sent, and how many rows are ``held`` until they cannot change."""

    noted: Mapping[str, int]
    sent: Sent
    held: int


def notify(
    lake: Lake, settings: Settings, streams: Mapping[AlertKind, Rows], run: str, say: Callable[[str], None]
) -> Outcome:
    """``tell``, then one round of a ``Sender``."""
    noted = tell(lake, settings, streams, run, say)
    return Outcome(noted.states, Sender(lake, settings, run, say).send(), noted.held)


def tell(
    lake: Lake, settings: Settings, streams: Mapping[AlertKind, Rows], run: str, say: Callable[[str], None]
) -> Noted:
    """Notes, and says, those alerts among the rows of ``streams`` that were not told yet; the webhook is not asked.

    ``run`` names the run and must differ between runs that may work at once; ``say`` takes the lines for its log. Safe
    to be killed anywhere, and to be called again with the same rows or others. Of rows, other columns are ignored.
    """
    noted = note(lake, settings, streams, Run(run, clock.utc_now()), shown=SAID)
    for alert in noted.first:
        say(f"alert: {alert['stream']} at {alert['occurred_at']:%Y-%m-%d %H:%M:%S} UTC: {said(alert['details'])}")
    told = sum(number for state, number in noted.states.items() if state != "old")
    if told > len(noted.first):
        say(f"alert: {told - len(noted.first):,} more, all in streams.alert_notices")
    return noted
