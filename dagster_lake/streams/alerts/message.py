"""Deliveries as messages of services that have a form of their own (Teams, Slack, PagerDuty, ...), through Apprise."""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator

from dagster_lake.streams.alerts.answers import Passing, Unavailable, not_taken
from dagster_lake.streams.alerts.channels import Address
from dagster_lake.streams.alerts.outbox import Delivery
from dagster_lake.streams.alerts.text import body, subject

_STATUS = re.compile(r"error=(\d{3})\b")
"""How Apprise's services say what was answered. It tells it in no other way."""


def send(address: Address, delivery: Delivery, *, timeout: float) -> None:
    """Sends one message; where the service knows keys of events, as PagerDuty does, the delivery's id is its key.

    Certificates are always verified and redirects never followed. Raises Unavailable or Refused when it is not taken.
    """
    try:
        import apprise
    except ImportError:
        raise Unavailable(f"{address.setting} needs the extra alerts: pip install 'dagster-lake[alerts]'") from None
    # What it says of an address that it cannot read holds the address.
    logging.getLogger("apprise").propagate = False
    asset = apprise.AppriseAsset(
        app_id="dagster-lake", app_desc="dagster_lake", app_url="", secure_logging=True, http_redirects=False
    )
    with _unheard("urllib3.connectionpool"), apprise.LogCapture(level=logging.WARNING) as said:
        service = apprise.Apprise.instantiate(address.secret.get_secret_value().strip(), asset=asset)
        if service is None:
            raise Unavailable(f"{address.setting} is no address that is known; docs/alerts.md says how to write it")
        service.socket_connect_timeout = service.socket_read_timeout = timeout
        service.verify_certificate = True
        service.redirects = False
        if hasattr(service, "dedup"):
            service.dedup = delivery.id
        taken = service.notify(
            title=subject(delivery),
            body=body(delivery, service.body_maxlen - len(subject(delivery))),
            notify_type=apprise.NotifyType.WARNING,
            body_format=apprise.NotifyFormat.TEXT,
        )
        answers = _STATUS.findall(said.getvalue())
    if taken:
        return
    raise not_taken(address, int(answers[-1])) if answers else Passing(f"{address.who} cannot be reached")


@contextlib.contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Keeps back what a logger says in this thread: the paths that it tells of hold secrets."""
    logger, thread = logging.getLogger(name), threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)
