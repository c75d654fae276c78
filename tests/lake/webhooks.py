"""A webhook to post to: a real HTTP server in this process, which answers as a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "sv-6f1c-not-to-be-told"


@dataclass
class Post:
    """One request that came in."""

    key: str
    content_type: str
    body: dict[str, Any]
    signature: str | None = None
    sent: bytes = b""


@dataclass
class Webhook:
    """What came in, in order, and with which status each request is answered: the next of ``answers``, else what
    ``judge`` says of its body. ``tries`` counts all requests."""

    address: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    judge: Callable[[bytes], int] = lambda body: 200
    tries: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self) -> dict[str, dict[str, Any]]:
        """What a receiver has that heeds the key: the first body of each."""
        first: dict[str, dict[str, Any]] = {}
        for post in self.posts:
            first.setdefault(post.key, post.body)
        return first

    def alerts(self) -> list[str]:
        """The ids of the alerts taken, sorted."""
        return sorted(alert["id"] for body in self.taken().values() for alert in body["alerts"])


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook on a free port of this machine, whose address holds a secret."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            with hook.lock:
                hook.tries += 1
                status = hook.answers.pop(0) if hook.answers else hook.judge(sent)
                if status < 300:
                    key, kind = self.headers["Idempotency-Key"], self.headers["Content-Type"]
                    hook.posts.append(Post(key, kind, json.loads(sent), self.headers["X-Lake-Signature"], sent))
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", hook.address)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")  # which Slack answers, and nobody else is asked

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.address = f"http://127.0.0.1:{server.server_port}/{SECRET}?code={SECRET}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
