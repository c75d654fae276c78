"""Stands in for Entra and the managed identity endpoint of a container app: each token is the role's new password."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.production.database import Server

SCOPE = "https://ossrdbms-aad.database.windows.net"
CLIENT = "33333333-3333-3333-3333-333333333333"


class FakeTokenEndpoint:
    """What a container app finds at IDENTITY_ENDPOINT. The server takes the newest token only, as a password."""

    def __init__(self, server: Server, lifetime: float) -> None:
        self.tokens: list[str] = []
        self.header = secrets.token_hex(8)
        self._server = server
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def environment(self) -> dict[str, str]:
        """What Container Apps sets, and AZURE_CLIENT_ID, which we set."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._http.server_port}/msi/token",
            "IDENTITY_HEADER": self.header,
            "AZURE_CLIENT_ID": CLIENT,
        }

    @contextmanager
    def serving(self) -> Iterator["FakeTokenEndpoint"]:
        """Answers until the end of the block."""
        thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()

    def _issue(self) -> str:
        with self._lock:
            token = f"token-{secrets.token_hex(16)}"
            self._server.set_password(token)
            self.tokens.append(token)
            return token

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                as_we = asked.get("resource") == [SCOPE] and asked.get("client_id") == [CLIENT]
                if self.headers.get("X-IDENTITY-HEADER") != endpoint.header or not as_we:
                    self.send_error(400, f"asked for {asked}")
                    return
                body = {
                    "access_token": endpoint._issue(),
                    "expires_on": str(int(time.time() + endpoint._lifetime)),
                    "resource": SCOPE,
                    "token_type": "Bearer",
                    "client_id": CLIENT,
                }
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        return Handler
