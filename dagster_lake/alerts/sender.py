"""Sending what is due to the webhook: one delivery that fails stops no other, and none is tried too often."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr

from dagster_lake import clock
from dagster_lake.alerts.notices import Run
from dagster_lake.alerts.outbox import Delivery, claim, claim_again, settle
from dagster_lake.alerts.webhook import Refused, Unavailable, post
from dagster_lake.commit import commit
from dagster_lake.settings import Settings
from dagster_lake.storage.paths import Lake

MOST_DELIVERIES = 20
"""Deliveries of one round; what is left over is the next round's."""
SENDING_SECONDS = 60.0
"""After this long a round begins no other delivery; with the last post it is still shorter than a claim lasts."""
MOST_UNAVAILABLE = 3
"""After so many deliveries in a row that the webhook was not there for, a round ends: it is down for the others too."""
LONGEST_REST = 60.0


@dataclass(frozen=True)
class Sent:
    """What became of the webhook: alerts that it took, alerts that wait, why it failed if it did, and how many alerts
    of the last days are set aside, since it refused them or was away too long."""

    alerts: int = 0
    waiting: int = 0
    failure: str | None = None
    set_aside: int = 0


@dataclass
class _Round:
    """What came of the deliveries of one round."""

    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    failure: str | None = None


class Sender:
    """Sends for one process, named by ``run``, which must differ between processes that may work at once.

    What the webhook does not take rests: within this process, which keeps its claim, for two seconds and then twice as
    long each time; for other processes until the claim ends. Only claims and outcomes are commits. Safe to be killed
    anywhere. Not safe between threads.
    """

    def __init__(self, lake: Lake, settings: Settings, run: str, say: Callable[[str], None]) -> None:
        self._lake, self._settings, self._run, self._say = lake, settings, run, say
        self._tries: dict[str, int] = {}
        self._rests_until: dict[str, float] = {}

    def send(self, *, at_once: bool = False) -> Sent:
        """Sends what is due, if there is a webhook, for a minute at most; with ``at_once`` also what rests.

        A webhook that fails fails nothing: what it did not take is sent by a later call, for a day.
        """
        webhook = self._settings.alert_webhook
        if webhook is None:
            return Sent()
        claimed = claim(self._lake, self._settings, self._now(), most=MOST_DELIVERIES)
        now = time.monotonic()
        awake = [d for d in claimed if at_once or self._rests_until.get(d.id, now) <= now]
        done = self._round(webhook, awake)
        unsent = settle(
            self._lake, self._settings, self._now(), sent=done.sent, refused=done.refused, untried=done.untried
        )
        if done.failure:
            self._say(f"{done.failure}. {unsent.waiting:,} alerts wait and are sent later")
        return Sent(_alerts(claimed, done.sent), unsent.waiting, done.failure, unsent.set_aside)

    def send_again(self, chosen: list[str] | None) -> Sent:
        """Sends what was set aside: the ``chosen`` deliveries, or all; what fails is set aside again."""
        webhook = self._settings.alert_webhook
        if webhook is None:
            return Sent(failure="LAKE_ALERT_WEBHOOK is not set")
        claimed = claim_again(self._lake, self._settings, self._now(), chosen)
        done = self._round(webhook, claimed)
        reason = done.failure or "not sent"
        others = {d.id: done.refused.get(d.id, reason) for d in claimed if d.id not in done.sent}
        unsent = settle(self._lake, self._settings, self._now(), sent=done.sent, given_up=others)
        return Sent(_alerts(claimed, done.sent), unsent.waiting, done.failure, unsent.set_aside)

    def _round(self, webhook: SecretStr, deliveries: list[Delivery]) -> _Round:
        done, away, started = _Round(), 0, time.monotonic()
        for delivery in deliveries:
            if time.monotonic() - started > SENDING_SECONDS:
                done.untried.append(delivery.id)
            elif away >= MOST_UNAVAILABLE:
                self._rest(delivery.id)
            else:
                away = self._try(webhook, delivery, done, away)
        return done

    def _try(self, webhook: SecretStr, delivery: Delivery, done: _Round, away: int) -> int:
        """Posts one delivery; gives for how many in a row the webhook was not there."""
        try:
            with commit("alerts.post"):
                post(webhook, delivery, key=self._settings.alert_signing_key)
        except Unavailable as error:
            done.failure = done.failure or str(error)
            self._rest(delivery.id)
            return away + 1
        except Refused as error:
            done.failure = done.failure or str(error)
            done.refused[delivery.id] = str(error)
        else:
            done.sent.append(delivery.id)
        self._tries.pop(delivery.id, None)
        self._rests_until.pop(delivery.id, None)
        return 0

    def _rest(self, id: str) -> None:
        tries = self._tries[id] = self._tries.get(id, 0) + 1
        self._rests_until[id] = time.monotonic() + min(LONGEST_REST, 2.0**tries)

    def _now(self) -> Run:
        return Run(self._run, clock.utc_now())


def _alerts(deliveries: list[Delivery], sent: list[str]) -> int:
    return sum(len(delivery.alerts) for delivery in deliveries if delivery.id in sent)
