"""Posting deliveries to the webhook. Its address is a secret: it stands in no error, log or table."""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from dagster_lake import clock
from dagster_lake.alerts.outbox import Delivery
from dagster_lake.alerts.shown import details_line, shown_value

SCHEMA_VERSION = 1
TIMEOUT_SECONDS = 10.0
WAITS = (0.5, 2.0)
"""Seconds before each further attempt of one post."""
SIGNATURE = "X-Lake-Signature"

_PASSING = {408, 425, 429}
_OF_THE_ADDRESS = {401, 402, 403, 404, 405, 407, 410}
"""Answers that another delivery would get as well: they are about the address or who may post there."""
_TOO_LARGE = 413
_HERE = {"localhost", "127.0.0.1", "::1"}


class WebhookError(Exception):
    """The webhook did not take a delivery; the message says why, without its address."""


class Unavailable(WebhookError):
    """It takes none at the moment: it is down, or the address is wrong. To be tried again."""


class Refused(WebhookError):
    """It does not want this delivery, and may want others."""


class _Passing(Unavailable):
    """A failure that may be over in a moment."""


class _TooLarge(Refused):
    """The webhook takes smaller ones."""


def body_of(delivery: Delivery) -> dict[str, Any]:
    """What is posted, and posted again: it follows from the delivery alone. docs/streams.md describes the fields.

    Texts are cut and their control characters written out: see ``shown``.
    """
    alerts = [
        {**alert, "occurred_at": alert["occurred_at"].isoformat(), "details": shown_value(alert["details"])}
        for alert in delivery.alerts
    ]
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
    key: SecretStr | None = None,
    timeout: float = TIMEOUT_SECONDS,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Posts one delivery as JSON, its id as ``Idempotency-Key``, signed with ``key`` when there is one.

    Tries again twice when the failure may pass. What is too large for the webhook goes in halves, down to single
    alerts, each under an id of its own that is the same every time. Raises Unavailable or Refused when the webhook does
    not take it, or not all of it.
    """
    address = _address(webhook)
    try:
        _post(address, delivery, key, timeout, wait)
    except _TooLarge:
        if len(delivery.alerts) == 1:
            raise Refused(f"the webhook answered {_TOO_LARGE} to a single alert, though its texts are cut") from None
        refused = None
        for half in _halves(delivery):
            try:
                post(webhook, half, key=key, timeout=timeout, wait=wait)
            except Refused as error:
                refused = error
        if refused:
            raise refused from None


def _post(
    address: str, delivery: Delivery, key: SecretStr | None, timeout: float, wait: Callable[[float], None]
) -> None:
    body = json.dumps(body_of(delivery)).encode()
    for pause in (*WAITS, None):
        try:
            return _send(_request(address, delivery.id, body, key), timeout)
        except _Passing:
            if pause is None:
                raise
            wait(pause)


def _halves(delivery: Delivery) -> list[Delivery]:
    middle = len(delivery.alerts) // 2
    return [
        Delivery(f"{delivery.id}-1", delivery.alerts[:middle]),
        Delivery(f"{delivery.id}-2", delivery.alerts[middle:]),
    ]


def _address(webhook: SecretStr) -> str:
    address = webhook.get_secret_value().strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not address.isascii() or any(character.isspace() for character in address):
        raise Unavailable("LAKE_ALERT_WEBHOOK is no http:// or https:// address; correct it")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise Unavailable(
            "LAKE_ALERT_WEBHOOK is an http:// address of another machine, where anybody on the way could read "
            "alerts; use https://"
        )
    return address


def _request(address: str, id: str, body: bytes, key: SecretStr | None) -> urllib.request.Request:
    headers = {"Content-Type": "application/json", "Idempotency-Key": id, "User-Agent": "dagster-lake"}
    if key is not None:
        headers[SIGNATURE] = signature(key, body, int(clock.utc_now().timestamp()))
    return urllib.request.Request(address, data=body, headers=headers, method="POST")


def signature(key: SecretStr, body: bytes, seconds: int) -> str:
    """The header by which a receiver knows who sent ``body`` and when: ``t=<seconds>,v1=<HMAC-SHA-256, hex>``.

    The HMAC is of ``<seconds>.<body>``, the form that Stripe's webhooks use, so that its verifiers can be used.
    """
    signed = hmac.new(key.get_secret_value().encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={signed.hexdigest()}"


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
    if status in _PASSING or status >= 500:
        raise _Passing(f"the webhook answered {status}")
    if 300 <= status < 400:
        raise Unavailable(f"the webhook answered {status}; set LAKE_ALERT_WEBHOOK to the address it has moved to")
    if status in _OF_THE_ADDRESS:
        raise Unavailable(f"the webhook answered {status}; is LAKE_ALERT_WEBHOOK right?")
    if status == _TOO_LARGE:
        raise _TooLarge(f"the webhook answered {status}")
    raise Refused(f"the webhook answered {status}: it does not take what is sent; docs/streams.md says what that is")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected post would become a GET, and could carry alerts to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _text(alerts: list[dict[str, Any]]) -> str:
    first = alerts[0]
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    return f"{first['stream']} at {first['occurred_at']}: {details_line(first['details'])}{more}"
