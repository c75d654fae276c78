"""Mail by STARTTLS and by TLS from the start, with sign-in: only to a server that proves who it is."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dagster_lake.streams.alerts import mail
from tests.lake.test_alert_channels import NIGHT, Mails, contract_names, place_with
from tests.lake.test_alerts import alert, rows
from tests.lake.webhooks import SECRET

pytestmark = pytest.mark.usefixtures("without_waiting")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody but ourselves trusts, and its key, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, bare = serialization.Encoding.PEM, serialization.NoEncryption()
    file = tmp_path / "certificate.pem"
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, bare))
    return file


@contextmanager
def server(scheme: str, certificate: Path | None) -> Iterator[tuple[Mails, str]]:
    """A mail server that takes mail from who signs in alone; without a certificate it offers no encryption."""

    def signed_in(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        login, password = data.login, data.password  # type: ignore[attr-defined]
        return AuthResult(success=(login, password) == (b"lake", SECRET.encode()), handled=False)

    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    way = {"ssl_context": tls} if scheme == "smtps" else {"tls_context": tls, "require_starttls": tls is not None}
    handler = Mails()
    running = Controller(
        handler,
        hostname="127.0.0.1",
        port=port,
        authenticator=signed_in,
        auth_required=True,
        auth_require_tls=scheme != "smtps",  # aiosmtpd counts STARTTLS alone as encryption
        **way,
    )
    running.start()
    try:
        yield handler, f"{scheme}://lake:{SECRET}@localhost:{port}/?from=lake@shop.example&to=owner@shop.example"
    finally:
        running.stop()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this machine count as another one, to which the way must be encrypted."""
    monkeypatch.setattr(mail, "_HERE", set())
    contract_names(monkeypatch, NIGHT)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_mail_goes_encrypted_and_signed_in_to_a_server_that_is_trusted(
    tmp_path: Path, certificate: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server(scheme, certificate) as (handler, address):
        assert place_with(tmp_path, night=address).tell(rows(alert(1))).sent.failure is None
        assert len(handler.taken) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_whose_certificate_is_not_trusted_gets_nothing_and_is_told_with_what_to_do(
    tmp_path: Path, certificate: Path, elsewhere: None, scheme: str
) -> None:
    with server(scheme, certificate) as (handler, address):
        failure = place_with(tmp_path, night=address).tell(rows(alert(1))).sent.failure
        assert handler.taken == []
    assert "channel night: the server's certificate is not one to trust" in str(failure)
    assert "SSL_CERT_FILE" in str(failure)
    assert SECRET not in str(failure)


def test_nobody_signs_in_to_a_server_that_offers_no_encryption(tmp_path: Path, elsewhere: None) -> None:
    with server("smtp", None) as (handler, address):
        failure = place_with(tmp_path, night=address).tell(rows(alert(1))).sent.failure
        assert handler.taken == []
    assert "channel night does not offer encryption (STARTTLS)" in str(failure)
    assert SECRET not in str(failure)


def test_a_wrong_password_is_told_without_it(
    tmp_path: Path, certificate: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server("smtp", certificate) as (handler, address):
        wrong = address.replace(SECRET, "another-secret")
        failure = place_with(tmp_path, night=wrong).tell(rows(alert(1))).sent.failure
        assert handler.taken == []
    assert "channel night answered 535; is LAKE_ALERT_CHANNELS: night right?" in str(failure)
    assert "another-secret" not in str(failure)
