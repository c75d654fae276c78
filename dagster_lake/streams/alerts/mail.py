"""Deliveries by e-mail: ``smtps://user:password@host/?from=lake@example.com&to=owner@example.com``, or ``smtp://``."""

import contextlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

from dagster_lake.streams.alerts.answers import NotTaken, Passing, Refused, Unavailable
from dagster_lake.streams.alerts.channels import Address
from dagster_lake.streams.alerts.outbox import Delivery
from dagster_lake.streams.alerts.text import body, subject

_HERE = {"localhost", "127.0.0.1", "::1"}
MOST_CHARACTERS = 100_000


@dataclass(frozen=True)
class _Server:
    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    sender: str
    to: str


def send(address: Address, delivery: Delivery, *, timeout: float) -> None:
    """Sends one mail. Its Message-ID is the delivery's id, the same when it is sent again.

    The way is encrypted, but to this machine. Raises Unavailable or Refused when the server does not take it.
    """
    server = _server(address)
    message = EmailMessage()
    message["From"], message["To"] = server.sender, server.to
    message["Subject"] = subject(delivery)
    message["Message-ID"] = f"<{delivery.id}@dagster-lake>"
    message.set_content(body(delivery, MOST_CHARACTERS))
    # What these errors say may hold the address, so that only codes and kinds are told, and they are not chained.
    try:
        with _connected(server, timeout) as connected:
            connected.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, _)] = error.recipients.values()
        raise _not_taken(address, code) from None
    except smtplib.SMTPNotSupportedError:
        raise Unavailable(f"{address.who} does not offer encryption (STARTTLS); use a server that does") from None
    except smtplib.SMTPAuthenticationError as error:
        raise Unavailable(f"{address.who} answered {error.smtp_code}; is {address.setting} right?") from None
    except smtplib.SMTPResponseException as error:
        raise _not_taken(address, error.smtp_code) from None
    except ssl.SSLCertVerificationError:
        raise Unavailable(
            f"{address.who}: the server's certificate is not one to trust for the host in {address.setting}; write the "
            "name that it is for, or let SSL_CERT_FILE name a file of the authorities to trust"
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        raise Passing(f"{address.who} cannot be reached: {type(error).__name__}") from None


@contextlib.contextmanager
def _connected(server: _Server, timeout: float):  # type: ignore[no-untyped-def]
    context = ssl.create_default_context()
    connected = (
        smtplib.SMTP_SSL(server.host, server.port, timeout=timeout, context=context)
        if server.tls
        else smtplib.SMTP(server.host, server.port, timeout=timeout)
    )
    try:
        if not server.tls and server.host not in _HERE:
            connected.starttls(context=context)
        if server.user is not None:
            connected.login(server.user, server.password or "")
        yield connected
    finally:
        # Once the server has taken a mail, how the connection ends changes nothing.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            connected.quit()


def _not_taken(address: Address, code: int) -> NotTaken:
    answered = f"{address.who} answered {code}"
    return Refused(f"{answered}: the server does not take this mail") if code >= 500 else Passing(answered)


def _server(address: Address) -> _Server:
    try:
        parts = urlsplit(address.secret.get_secret_value().strip())
        asked = parse_qs(parts.query)
        [sender], [to] = asked["from"], asked["to"]
        port = parts.port or (465 if parts.scheme == "smtps" else 587)
        whole = bool(parts.hostname) and all("@" in one and one.isprintable() for one in (sender, to)) and "," not in to
    except (ValueError, KeyError):
        whole = False
    if not whole:
        raise Unavailable(
            f"{address.setting} is no address of a mail server; write smtps://user:password@host/?from=...&to=..., "
            "with one address each"
        )
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return _Server(parts.hostname or "", port, parts.scheme == "smtps", user, password, sender, to)
