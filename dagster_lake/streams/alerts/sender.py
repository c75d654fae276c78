"""Sending what is due to its channels: neither a delivery nor a channel that fails stops another, and none is tried too
often."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts import mail, message, webhook
from dagster_lake.streams.alerts.answers import Refused, Unavailable
from dagster_lake.streams.alerts.channels import Address, address_of, addresses
from dagster_lake.streams.alerts.notices import Run
from dagster_lake.streams.alerts.outbox import Delivery, Versions, claim, claim_again, settle, versions

MOST_DELIVERIES = 20
"""Deliveries of one round to one channel; what is left over is the next round's."""
TIMEOUT_SECONDS = 10.0
SENDING_SECONDS = 60.0
"""After this long a round begins no other delivery; with the last post it is still shorter than a claim lasts."""
MOST_UNAVAILABLE = 3
"""After so many deliveries in a row that a channel was not there for, a round is over for it: it is down for the others
too."""
LONGEST_REST = 60.0


@dataclass(frozen=True)
class Sent:
    """What became of the channels: alerts that they took, alerts that wait, why the first one failed if one did, and
    how many alerts of the last days are set aside, since they were refused or a channel was away too long. An alert
    counts once a channel."""

    alerts: int = 0
    waiting: int = 0
    failure: str | None = None
    set_aside: int = 0


@dataclass
class _Round:
    """What came of the deliveries of one round; ``away``: for how many in a row each channel was not there."""

    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    failure: str | None = None
    away: dict[str, int] = field(default_factory=dict)


class Sender:
    """Sends for one process, named by ``run``, which must differ between processes that may work at once.

    What a channel does not take rests: within this process, which keeps its claim, for two seconds and then twice as
    long each time; for other processes until the claim ends. Only claims and outcomes are commits. Safe to be killed
    anywhere. Not safe between threads.

    ``quiet`` are the versions of the tables at which nothing waited, where that is known: while these stay, ``send``
    does not read the tables again.
    """

    def __init__(
        self,
        lake: Lake,
        settings: Settings,
        run: str,
        say: Callable[[str], None],
        quiet: Versions | None = None,
    ) -> None:
        self.quiet = quiet
        self._last = Sent()
        self._lake, self._settings, self._run, self._say = lake, settings, run, say
        self._tries: dict[str, int] = {}
        self._rests_until: dict[str, datetime] = {}

    def send(self, *, at_once: bool = False, seconds: float = SENDING_SECONDS) -> Sent:
        """Sends what is due, if there is a channel, for a minute at most; with ``at_once`` also what rests.

        A channel that fails fails nothing: what it did not take is sent by a later call, for a day.
        """
        if not addresses(self._settings):
            return Sent()
        before = versions(self._lake)
        if self.quiet == before:
            return replace(self._last, alerts=0)
        claimed = claim(self._lake, self._settings, self._now(), most=MOST_DELIVERIES)
        now = clock.utc_now()
        awake = [d for d in claimed if at_once or self._rests_until.get(d.id, now) <= now]
        done = self._round(awake, seconds)
        unsent = settle(
            self._lake, self._settings, self._now(), sent=done.sent, refused=done.refused, untried=done.untried
        )
        if done.failure:
            self._say(f"{done.failure}. {unsent.waiting:,} alerts wait and are sent later")
        self._last = Sent(_alerts(claimed, done.sent), unsent.waiting, done.failure, unsent.set_aside)
        # As they were before the look: whatever was noted since, by whomever, makes them differ.
        self.quiet = None if unsent.waiting else before
        return self._last

    def send_again(self, chosen: list[str] | None) -> Sent:
        """Sends what was set aside: the ``chosen`` deliveries, or all; what fails is set aside again."""
        if not addresses(self._settings):
            return Sent(failure="neither LAKE_ALERT_WEBHOOK nor LAKE_ALERT_CHANNELS is set")
        claimed = claim_again(self._lake, self._settings, self._now(), chosen)
        done = self._round(claimed, SENDING_SECONDS)
        reason = done.failure or "not sent"
        others = {d.id: done.refused.get(d.id, reason) for d in claimed if d.id not in done.sent}
        unsent = settle(self._lake, self._settings, self._now(), sent=done.sent, given_up=others)
        return Sent(_alerts(claimed, done.sent), unsent.waiting, done.failure, unsent.set_aside)

    def _round(self, deliveries: list[Delivery], seconds: float) -> _Round:
        done, started, known = _Round(), time.monotonic(), addresses(self._settings)
        for delivery in _in_turns(deliveries):
            if time.monotonic() - started > seconds:
                done.untried.append(delivery.id)
            elif done.away.get(delivery.channel, 0) >= MOST_UNAVAILABLE:
                self._rest(delivery.id)
            else:
                self._try(address_of(known, delivery.channel), delivery, done)
        return done

    def _try(self, address: Address | None, delivery: Delivery, done: _Round) -> None:
        """Sends one delivery, and notes in ``done`` what came of it."""
        try:
            with commit("alerts.post"):
                self._send(address, delivery)
        except Unavailable as error:
            done.failure = done.failure or str(error)
            done.away[delivery.channel] = done.away.get(delivery.channel, 0) + 1
            self._rest(delivery.id)
            return
        except Refused as error:
            done.failure = done.failure or str(error)
            done.refused[delivery.id] = str(error)
        else:
            done.sent.append(delivery.id)
        done.away[delivery.channel] = 0
        self._tries.pop(delivery.id, None)
        self._rests_until.pop(delivery.id, None)

    def _send(self, address: Address | None, delivery: Delivery) -> None:
        if address is None:
            raise Unavailable(
                f"channel {delivery.channel} has no address; give it one in LAKE_ALERT_CHANNELS, or set "
                "LAKE_ALERT_WEBHOOK"
            )
        match address.shape:
            case "json":
                webhook.post(address, delivery, key=self._settings.alert_signing_key, timeout=TIMEOUT_SECONDS)
            case "mail":
                mail.send(address, delivery, timeout=TIMEOUT_SECONDS)
            case "message":
                message.send(address, delivery, timeout=TIMEOUT_SECONDS)

    def _rest(self, id: str) -> None:
        tries = self._tries[id] = self._tries.get(id, 0) + 1
        self._rests_until[id] = clock.utc_now() + timedelta(seconds=min(LONGEST_REST, 2.0**tries))

    def _now(self) -> Run:
        return Run(self._run, clock.utc_now())


def _alerts(deliveries: list[Delivery], sent: list[str]) -> int:
    return sum(len(delivery.alerts) for delivery in deliveries if delivery.id in sent)


def _in_turns(deliveries: list[Delivery]) -> list[Delivery]:
    """The first delivery of each channel, then the second of each: a channel that is slow lets the others go on."""
    places: dict[str, int] = {}
    turns = []
    for delivery in deliveries:
        turns.append(places.get(delivery.channel, 0))
        places[delivery.channel] = turns[-1] + 1
    return [delivery for _, delivery in sorted(zip(turns, deliveries, strict=True), key=lambda pair: pair[0])]
