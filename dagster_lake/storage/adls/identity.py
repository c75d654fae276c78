"""Who we are to Azure when no key is given: DefaultAzureCredential, for adlfs (async) and for delta-rs (a token)."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

SCOPE = "https://storage.azure.com/.default"
SHORTEST_SECONDS = 20 * 60
"""A token is replaced when it has less than this left: delta-rs keeps the one it was given for a whole write."""


class Token(Protocol):
    """A bearer token, and when it expires (seconds since 1970)."""

    token: str
    expires_on: int


class Identity:
    """One process's identity. Its token is asked for when first needed, and anew before it expires.

    azure-identity hands out a cached token until its last minutes, so a new one takes a new credential.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._token: Token | None = None

    def access_token(self) -> Token:
        """A token for Azure Storage that is good for ``SHORTEST_SECONDS``, if the identity gives any such.

        Raises azure.core's ClientAuthenticationError when there is no identity.
        """
        with self._lock:
            if self._token is None or self._token.expires_on - time.time() < SHORTEST_SECONDS:
                self._token = self._make().get_token(SCOPE)
            return self._token

    async def get_token(self, *scopes: str, **options: object) -> Token:
        """What Azure's asynchronous clients call."""
        return await asyncio.to_thread(self.access_token)

    async def close(self) -> None:
        """Nothing to close; Azure's asynchronous clients call it."""

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def __reduce__(self) -> tuple[Callable[[], "Identity"], tuple[()]]:
        """Another process asks for a token of its own."""
        return default_identity, ()


@cache
def default_identity() -> Identity:
    """The identity that DefaultAzureCredential finds: environment, workload, managed identity, or ``az login``."""

    def make() -> Any:
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    return Identity(make)
