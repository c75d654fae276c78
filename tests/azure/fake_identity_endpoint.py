"""The endpoints on a local socket from which a host gets the tokens of its managed identity.

What is faithful: the requests and the answers as azure-identity makes and reads them: of App Service's protocol, which
is also that of Container Apps, and of the metadata service of a virtual machine. What is not: a token here is a few
words and not a JWT.
"""

import json
import threading
import time
from dataclasses import dataclass
from email.message import Message
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
    """The endpoints. ``environment`` is what Container Apps sets; a virtual machine sets nothing, ``machine`` is how
    its metadata service is found here. Tokens last for ``seconds`` from when they are given.

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
        return {"IDENTITY_ENDPOINT": f"{self._address}/msi/token", "IDENTITY_HEADER": HEADER}

    @property
    def machine(self) -> dict[str, str]:
        """In place of the address that the metadata service has on every virtual machine."""
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self._address}

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def newest(self) -> str:
        """The text of the newest token."""
        return self.given[-1].text

    def container_answer(self, query: dict[str, str], headers: Message) -> tuple[int, dict[str, Any]]:
        """The status of one answer to a container app, and the answer."""
        if headers["X-IDENTITY-HEADER"] != HEADER:
            return 401, {"statusCode": 401, "message": "the identity header is wrong"}
        problem = self._problem(query, "2019-08-01")
        if problem:
            return 400, {"statusCode": 400, "message": problem}
        return 200, {**self._token(query), "expires_on": str(int(time.time()) + self.seconds)}

    def machine_answer(self, query: dict[str, str], headers: Message) -> tuple[int, dict[str, Any]]:
        """The status of one answer to a virtual machine, and the answer."""
        problem = self._problem(query, "2018-02-01") if headers["Metadata"] == "true" else "Metadata header is missing"
        if problem:
            return 400, {"error": "invalid_request", "error_description": problem}
        return 200, {**self._token(query), "expires_in": str(self.seconds)}

    def _problem(self, query: dict[str, str], version: str) -> str:
        if query["api-version"] != version:
            return f"no such version: {query['api-version']}"
        if self.refusals:
            return self.refusals.pop(0)
        named = query.get("client_id")
        return "" if named == self.client_id else f"No User Assigned identity {named} found."

    def _token(self, query: dict[str, str]) -> dict[str, str]:
        token = Token(f"entra-token-{len(self.given)}", query["resource"], query.get("client_id"))
        self.given.append(token)
        return {"access_token": token.text, "resource": token.resource, "token_type": "Bearer"}


def _handler(fake: FakeIdentityEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            answers = {"/msi/token": fake.container_answer, "/metadata/identity/oauth2/token": fake.machine_answer}
            status, document = answers[parts.path](query, self.headers)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Nothing: what came in is in ``given``."""

    return Handler
