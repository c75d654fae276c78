"""A receiver of OpenLineage events that speaks HTTP on a free port, as Marquez does at /api/v1/lineage."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeReceiver:
    """``events`` are what was taken, ``headers`` those of the last request; ``refuses`` that many requests first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.refuses = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.headers = dict(self.headers)
                taken = self.path == "/api/v1/lineage" and receiver.refuses == 0
                if taken:
                    receiver.events.append(json.loads(body))
                elif receiver.refuses:
                    receiver.refuses -= 1
                self.send_response(201 if taken else 400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def fake_openlineage() -> Iterator[FakeReceiver]:
    receiver = FakeReceiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()
