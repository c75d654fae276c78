"""Telling of alerts: each is noted once in the lake's own log, said in the run's log, and sent to the webhook."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from dagster_lake import clock
from dagster_lake.alerts.kinds import AlertKind
from dagster_lake.alerts.notices import Noted, Rows, Run, note
from dagster_lake.alerts.outbox import Delivery, claim, settle
from dagster_lake.alerts.webhook import WebhookError, post
from dagster_lake.commit import commit
from dagster_lake.settings import Settings
from dagster_lake.storage.paths import Lake

SAID = 20
"""Alerts that are said one by one in a run's log; of the others the number."""
MOST_DELIVERIES = 20
"""Deliveries of one run; what is left over is the next run's."""
SENDING_SECONDS = 60.0
"""After this long a run begins no other delivery; far less than a claim lasts."""


@dataclass(frozen=True)
class Sent:
    """What became of the webhook: alerts that it took, alerts that wait, and why it failed if it did."""

    alerts: int = 0
    waiting: int = 0
    failure: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run told: new alerts by state, and what was sent."""

    noted: Mapping[str, int]
    sent: Sent


def notify(
    lake: Lake, settings: Settings, streams: Mapping[AlertKind, Rows], run: str, say: Callable[[str], None]
) -> Outcome:
    """``tell``, then ``deliver``."""
    noted = tell(lake, settings, streams, run, say)
    return Outcome(noted.states, deliver(lake, settings, run, say))


def tell(
    lake: Lake, settings: Settings, streams: Mapping[AlertKind, Rows], run: str, say: Callable[[str], None]
) -> Noted:
    """Notes, and says, those alerts among the rows of ``streams`` that were not told yet; the webhook is not asked.

    ``run`` names the run and must differ between runs that may work at once; ``say`` takes the lines for its log. Safe
    to be killed anywhere, and to be called again with the same rows or others. Of rows, other columns are ignored.
    """
    noted = note(lake, settings, streams, Run(run, clock.utc_now()), shown=SAID)
    for alert in noted.first:
        details = ", ".join(f"{name} {value}" for name, value in alert["details"].items())
        say(f"alert: {alert['stream']} at {alert['occurred_at']:%Y-%m-%d %H:%M:%S} UTC: {details}")
    told = sum(number for state, number in noted.states.items() if state != "old")
    if told > len(noted.first):
        say(f"alert: {told - len(noted.first):,} more, all in streams.alert_notices")
    return noted


def deliver(lake: Lake, settings: Settings, run: str, say: Callable[[str], None]) -> Sent:
    """Sends what is due to the webhook, if there is one, for a minute at most and what one request may take.

    A webhook that fails fails nothing: what it did not take is sent by a later call, for a day. Safe to be killed
    anywhere; other calls at the same time send other alerts.
    """
    if settings.alert_webhook is None:
        return Sent()
    claimed = claim(lake, settings, Run(run, clock.utc_now()), most=MOST_DELIVERIES)
    sent, failed = _send(settings.alert_webhook, claimed)
    waiting = settle(lake, settings, Run(run, clock.utc_now()), sent, failed)
    for reason in failed.values():
        say(f"{reason}. {waiting:,} alerts wait and are sent by a later run")
    alerts = sum(len(delivery.alerts) for delivery in claimed if delivery.id in sent)
    return Sent(alerts, waiting, next(iter(failed.values()), None))


def _send(webhook: SecretStr, deliveries: list[Delivery]) -> tuple[list[str], dict[str, str]]:
    """Posts one delivery after the other, until one fails or the time is up; gives those sent, and why one failed."""
    sent: list[str] = []
    started = time.monotonic()
    for delivery in deliveries:
        if time.monotonic() - started > SENDING_SECONDS:
            break
        try:
            with commit("alerts.post"):
                post(webhook, delivery)
        except WebhookError as error:
            return sent, {delivery.id: str(error)}
        sent.append(delivery.id)
    return sent, {}
