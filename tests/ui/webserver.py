"""The real Dagster webserver over a small lake that the real command line built."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_SMALL = {"LAKE_USERS": "200", "LAKE_VIP_USERS": "10", "LAKE_PRODUCTS": "40", "LAKE_PAGEVIEWS_PER_HOUR": "3000"}


def build_lake(folder: Path, *arguments: str, settings: dict[str, str] | None = None) -> dict[str, str]:
    """Builds a demo lake below ``folder``, with its Dagster history; returns the environment that sees both."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = {
        **os.environ,
        **(_SMALL if settings is None else settings),
        "LAKE_ROOT": str(folder / "lake"),
        "DAGSTER_HOME": str(folder),
    }
    subprocess.run([BIN / "lake", "demo", *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return environment


@contextmanager
def webserver(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Runs the webserver on a free port and yields its address once it says that it serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [BIN / "dagster-webserver", "-m", "dagster_lake.definitions", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            if "Serving dagster-webserver" in line:
                break
        else:
            raise AssertionError(f"the webserver ended before it served:\n{''.join(said)}")
        # It goes on talking; unread, it would stop when the pipe is full.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
