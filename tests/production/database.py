"""A PostgreSQL server as production has it: with a password or a token only, and encrypted with a known certificate."""

import datetime
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql

from tests.lake.postgres import running_postgres

ROLE = "dagster"


@dataclass(frozen=True)
class Server:
    """A server that takes encrypted connections with a password, and the administrator's through its socket."""

    port: int
    socket: Path
    certificate: Path
    """Who vouches for the server: itself."""

    def administer(self, statement: sql.Composed | sql.SQL, *values: str) -> list[tuple[Any, ...]]:
        """Runs one statement as the administrator; what it gives."""
        with psycopg.connect(host=str(self.socket), port=self.port, user="postgres", autocommit=True) as connection:
            answer = connection.execute(statement, values)
            return answer.fetchall() if answer.description else []

    def cut_connections(self) -> None:
        """Ends all connections of Dagster's role, as a restart of the server does."""
        self.administer(sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"), ROLE)

    def connections(self, database: str) -> set[int]:
        """Those of Dagster's role to a database, each as the process that serves it."""
        ask = sql.SQL("SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = %s")
        return {int(pid) for (pid,) in self.administer(ask, ROLE, database)}

    def set_password(self, password: str) -> None:
        """Only this password lets Dagster's role in from now on."""
        self.administer(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(password)))

    def new_database(self) -> str:
        """An empty database of Dagster's role."""
        name = f"dagster_{secrets.token_hex(4)}"
        self.administer(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(ROLE)))
        return name

    def environment(self, database: str, password: str) -> dict[str, str]:
        """What deploy/postgresql/dagster.yaml reads, and libpq."""
        return {
            "DAGSTER_POSTGRES_HOST": "localhost",
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_DB": database,
            "DAGSTER_POSTGRES_USER": ROLE,
            "DAGSTER_POSTGRES_PASSWORD": password,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.certificate),
        }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own for each file of tests."""
    place = Path(tempfile.mkdtemp(prefix="lake-tls-"))
    place.chmod(0o755)
    try:
        certificate, key = _certificate(place)
        rules = place / "pg_hba.conf"
        rules.write_text("local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        settings = ["ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}", f"hba_file={rules}"]
        with running_postgres(*settings, "timezone=Europe/Prague") as (port, socket):
            made = Server(port, socket, certificate)
            made.administer(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
            yield made
    finally:
        shutil.rmtree(place)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key, which is the server's alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, key_file = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.touch(0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    if os.getuid() == 0:
        shutil.chown(key_file, "postgres")
    return certificate, key_file
