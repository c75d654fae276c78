"""Azurite, Microsoft's emulator of Azure Blob Storage, for the tests that need it."""

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

VERSION = "3.37.0"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # every Azurite's
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dagster_lake" / "azurite"
_PROGRAM = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


@dataclass(frozen=True)
class Azurite:
    """A running Azurite with one storage account."""

    port: int

    @property
    def endpoint(self) -> str:
        """Its blob endpoint."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def client(self) -> Any:
        """Microsoft's own client, to look at it from outside."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.endpoint, credential={"account_name": ACCOUNT, "account_key": KEY})

    def new_container(self) -> str:
        """Makes a container and returns its name."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        self.client.create_container(name)
        return name

    def signature(self, hours: float) -> str:
        """A shared access signature that lasts ``hours`` from now, or ended as long ago."""
        from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

        now = datetime.now(UTC)
        return generate_account_sas(
            ACCOUNT,
            KEY,
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True),
            expiry=now + timedelta(hours=hours),
            start=now - timedelta(days=1),
        )


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One Azurite for the tests of a process, in memory."""
    with running() as found:
        yield found


@contextmanager
def running() -> Iterator[Azurite]:
    """Azurite on a free port. Fails, saying how to install it, where it is not."""
    node = shutil.which("node")
    if node is None or not _PROGRAM.exists():
        pytest.skip(f"no Azurite: npm install --prefix {FOLDER} azurite@{VERSION}  (with node 18 or later)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--inMemoryPersistence"]
    command = [node, str(_PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
    try:
        _wait_for(port, process)
        yield Azurite(port)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if process.poll() is not None:
            assert process.stdout is not None
            pytest.fail(f"Azurite ended: {process.stdout.read().decode()}")
        with socket.socket() as attempt:
            attempt.settimeout(1)
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"Azurite did not answer on port {port} within {seconds} s")
