"""The endpoint on a local socket from which a container app gets the tokens of its managed identity.

What is faithful: the request and the answers as azure-identity makes and reads them (App Service's protocol, which is
also that of Container Apps). What is not: a token here is a few words and not a JWT.
"""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLIENT_ID = "11111111-1111-1111-1111-111111111111"
DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
HEADER = "only-this-container-knows-it"
LIVES_LONG = 24 * 3600
ALMOST_OVER = 4 * 60
"""Seconds left at which azure-identity asks for another token."""


@dataclass(frozen=True)
class Token:
    """A token that was given, and for what."""

    text: str
    resource: str
    client_id: str | None


class FakeIdentityEndpoint:
    """The endpoint. ``environment`` is what Container Apps sets; tokens last for ``seconds`` from when they are given.

    ``refusals`` are errors that it answers with, used up in order.
    """

    def __init__(self, client_id: str = CLIENT_ID, seconds: int = LIVES_LONG) -> None:
        self.client_id = client_id
        self.seconds = seconds
        self.given: list[Token] = []
        self.refusals: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "FakeIdentityEndpoint":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What a container finds set."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}/msi/token",
            "IDENTITY_HEADER": HEADER,
        }

    @property
    def newest(self) -> str:
        """The text of the newest token."""
        return self.given[-1].text

    def answer(self, query: dict[str, str], header: str | None) -> tuple[int, dict[str, Any]]:
        """The status of one answer, and the answer."""
        if header != HEADER:
            return 401, {"statusCode": 401, "message": "the identity header is wrong"}
        if query["api-version"] != "2019-08-01":
            return 400, {"statusCode": 400, "message": f"no such version: {query['api-version']}"}
        if self.refusals:
            return 400, {"statusCode": 400, "message": self.refusals.pop(0)}
        if query.get("client_id") != self.client_id:
            return 400, {"statusCode": 400, "message": f"No User Assigned identity {query.get('client_id')} found."}
        token = Token(f"entra-token-{len(self.given)}", query["resource"], query.get("client_id"))
        self.given.append(token)
        return 200, {
            "access_token": token.text,
            "expires_on": str(int(time.time()) + self.seconds),
            "resource": token.resource,
            "token_type": "Bearer",
            "client_id": self.client_id,
        }


def _handler(fake: FakeIdentityEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            status, document = fake.answer(query, self.headers.get("X-IDENTITY-HEADER"))
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Nothing: what came in is in ``given``."""

    return Handler
