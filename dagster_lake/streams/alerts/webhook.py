"""Posting deliveries to webhooks as JSON. Their addresses are secrets: they stand in no error, log or table."""

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
from dagster_lake.streams.alerts.answers import TOO_LARGE, Passing, Refused, TooLarge, Unavailable, not_taken
from dagster_lake.streams.alerts.channels import Address
from dagster_lake.streams.alerts.outbox import Delivery
from dagster_lake.streams.alerts.shown import shown_value
from dagster_lake.streams.alerts.text import headline

SCHEMA_VERSION = 1
TIMEOUT_SECONDS = 10.0
WAITS = (0.5, 2.0)
"""Seconds before each further attempt of one post."""
SIGNATURE = "X-Lake-Signature"

_HERE = {"localhost", "127.0.0.1", "::1"}


def body_of(delivery: Delivery) -> dict[str, Any]:
    """What is posted, and posted again: it follows from the delivery alone. docs/alerts.md describes the fields.

    Texts are cut and their control characters written out: see ``shown``.
    """
    alerts = [
        {**alert, "occurred_at": alert["occurred_at"].isoformat(), "details": shown_value(alert["details"])}
        for alert in delivery.alerts
    ]
    return {
        "version": SCHEMA_VERSION,
        "delivery": delivery.id,
        "text": headline(delivery),
        "alerts": alerts,
    }


def post(
    address: Address,
    delivery: Delivery,
    *,
    key: SecretStr | None = None,
    timeout: float = TIMEOUT_SECONDS,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Posts one delivery as JSON, its id as ``Idempotency-Key``, signed with ``key`` when there is one.

    Tries again twice when the failure may pass. What is too large for it goes in halves, down to single
    alerts, each under an id of its own that is the same every time. Raises Unavailable or Refused when the webhook does
    not take it, or not all of it.
    """
    try:
        _post(address, delivery, key, timeout, wait)
    except TooLarge:
        if len(delivery.alerts) == 1:
            raise Refused(f"{address.who} answered {TOO_LARGE} to a single alert, though its texts are cut") from None
        refused = None
        for half in _halves(delivery):
            try:
                post(address, half, key=key, timeout=timeout, wait=wait)
            except Refused as error:
                refused = error
        if refused:
            raise refused from None


def _post(
    address: Address, delivery: Delivery, key: SecretStr | None, timeout: float, wait: Callable[[float], None]
) -> None:
    url = _url(address)
    body = json.dumps(body_of(delivery)).encode()
    for pause in (*WAITS, None):
        try:
            return _send(address, _request(url, delivery.id, body, key), timeout)
        except Passing:
            if pause is None:
                raise
            wait(pause)


def _halves(delivery: Delivery) -> list[Delivery]:
    middle = len(delivery.alerts) // 2
    return [
        Delivery(f"{delivery.id}-1", delivery.alerts[:middle], delivery.channel),
        Delivery(f"{delivery.id}-2", delivery.alerts[middle:], delivery.channel),
    ]


def _url(address: Address) -> str:
    url = address.secret.get_secret_value().strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(character.isspace() for character in url):
        raise Unavailable(f"{address.setting} is no http:// or https:// address; correct it")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise Unavailable(
            f"{address.setting} is an http:// address of another machine, where anybody on the way could read "
            "alerts; use https://"
        )
    return url


def _request(url: str, id: str, body: bytes, key: SecretStr | None) -> urllib.request.Request:
    headers = {"Content-Type": "application/json", "Idempotency-Key": id, "User-Agent": "dagster-lake"}
    if key is not None:
        headers[SIGNATURE] = signature(key, body, int(clock.utc_now().timestamp()))
    return urllib.request.Request(url, data=body, headers=headers, method="POST")


def signature(key: SecretStr, body: bytes, seconds: int) -> str:
    """The header by which a receiver knows who sent ``body`` and when: ``t=<seconds>,v1=<HMAC-SHA-256, hex>``.

    The HMAC is of ``<seconds>.<body>``, the form that Stripe's webhooks use, so that its verifiers can be used.
    """
    signed = hmac.new(key.get_secret_value().encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={signed.hexdigest()}"


def _send(address: Address, request: urllib.request.Request, timeout: float) -> None:
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
        raise Passing(f"{address.who} cannot be reached: {type(reason).__name__}") from None
    raise not_taken(address, status)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected post would become a GET, and could carry alerts to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)
