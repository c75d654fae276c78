"""Posting deliveries to the webhook. Its address is a secret: it stands in no error, log or table."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from dagster_lake.alerts.outbox import Delivery

SCHEMA_VERSION = 1
TIMEOUT_SECONDS = 10.0
WAITS = (0.5, 2.0)
"""Seconds before each further attempt of one post."""
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class WebhookError(Exception):
    """The webhook did not take a delivery; the message says why, without its address."""


class _Passing(WebhookError):
    """A failure that may be over in a moment."""


def body_of(delivery: Delivery) -> dict[str, Any]:
    """What is posted, and posted again: it follows from the delivery alone. docs/streams.md describes the fields."""
    alerts = [{**alert, "occurred_at": alert["occurred_at"].isoformat()} for alert in delivery.alerts]
    return {
        "version": SCHEMA_VERSION,
        "delivery": delivery.id,
        "text": _text(alerts),
        "alerts": alerts,
    }


def post(
    webhook: SecretStr,
    delivery: Delivery,
    *,
    timeout: float = TIMEOUT_SECONDS,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Posts one delivery as JSON, its id as ``Idempotency-Key``; tries again twice when the failure may pass.

    Raises WebhookError when the webhook does not take it, or when its address is none.
    """
    request = _request(webhook, delivery)
    for pause in (*WAITS, None):
        try:
            return _send(request, timeout)
        except _Passing:
            if pause is None:
                raise
            wait(pause)


def _request(webhook: SecretStr, delivery: Delivery) -> urllib.request.Request:
    address = webhook.get_secret_value().strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not address.isascii() or any(character.isspace() for character in address):
        raise WebhookError("LAKE_ALERT_WEBHOOK is no http:// or https:// address; correct it")
    return urllib.request.Request(
        address,
        data=json.dumps(body_of(delivery)).encode(),
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": delivery.id,
            "User-Agent": "dagster-lake",
        },
        method="POST",
    )


def _send(request: urllib.request.Request, timeout: float) -> None:
    # What these errors say holds the address, so that only their kind is told, and they are not chained.
    try:
        with _opener.open(request, timeout=timeout) as answer:
            answer.read(1)
            return
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _Passing(f"the webhook cannot be reached: {type(reason).__name__}") from None
    if status in _PASSING:
        raise _Passing(f"the webhook answered {status}")
    if status in (301, 302, 303, 307, 308):
        raise WebhookError(f"the webhook answered {status}; set LAKE_ALERT_WEBHOOK to the address it has moved to")
    raise WebhookError(f"the webhook answered {status}; is LAKE_ALERT_WEBHOOK right?")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected post would become a GET, and could carry alerts to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _text(alerts: list[dict[str, Any]]) -> str:
    first = alerts[0]
    shown = ", ".join(f"{name} {value}" for name, value in first["details"].items())
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    return f"{first['stream']} at {first['occurred_at']}: {shown}{more}"
