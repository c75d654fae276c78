"""Deliveries as text for people: in a post's ``text``, a mail, a message."""

from datetime import datetime
from typing import Any

from dagster_lake.streams.alerts.kinds import FAILURE_SHOWS
from dagster_lake.streams.alerts.outbox import Delivery
from dagster_lake.streams.alerts.shown import MOST_CHARACTERS, MOST_SAID, details_line, shown_text


def line_of(alert: dict[str, Any], most: int = MOST_SAID) -> str:
    """One alert in a line; each of its texts has at most about ``most`` characters."""
    at = alert["occurred_at"]
    when = at.isoformat() if isinstance(at, datetime) else at
    return f"{shown_text(alert['stream'])} at {when}: {said(alert['details'], most)}"


def said(details: dict[str, Any], most: int = MOST_SAID) -> str:
    """What is told of an alert, or of a failure."""
    if tuple(details) != FAILURE_SHOWS:
        return details_line(details, most)
    what, to_do, owner = (shown_text(str(details[name]), MOST_CHARACTERS) for name in FAILURE_SHOWS)
    return f"{what}. What to do: {to_do}. Owner: {owner}"


def headline(delivery: Delivery) -> str:
    """The first alert, and how many more."""
    more = f" and {len(delivery.alerts) - 1} more" if len(delivery.alerts) > 1 else ""
    return line_of(delivery.alerts[0]) + more


def subject(delivery: Delivery) -> str:
    """A few words: of which kind, and how many."""
    kind = delivery.alerts[0]["stream"].replace("_", " ")
    number = len(delivery.alerts)
    return f"dagster_lake: {kind}" if number == 1 else f"dagster_lake: {number} alerts, first {kind}"


def body(delivery: Delivery, most: int) -> str:
    """A paragraph an alert, as many as ``most`` characters hold, and how many are left out."""
    told, size = [], 0
    for alert in delivery.alerts:
        line = line_of(alert, MOST_CHARACTERS if len(delivery.alerts) == 1 else MOST_SAID)
        if size + len(line) + 2 > most - 100:
            break
        told.append(line)
        size += len(line) + 2
    if not told:
        told = [line_of(delivery.alerts[0])[: most - 100]]
    if left := len(delivery.alerts) - len(told):
        told.append(f"{left:,} more: lake query 'from streams.alert_notices'")
    return "\n\n".join(told)
