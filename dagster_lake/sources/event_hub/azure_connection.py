"""How an Event Hubs namespace is reached, and what its refusals mean, in words that name the setting to mend."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from dagster_lake.settings.lake import Settings
from dagster_lake.settings.secret_text import without_secrets
from dagster_lake.sources.event_hub.protocol import EventHubError

if TYPE_CHECKING:
    from azure.eventhub import EventHubConsumerClient, EventHubProducerClient
    from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumerClient

AT_ONCE = 32
"""How many partitions are asked, read or sent to at the same time."""

# Retrying is ours: the client neither retries a throttled send nor resumes a read without doubling events.
_CLIENT = {"retry_total": 0, "retry_backoff_factor": 0}

_FINAL = (
    *("not-found", "unauthorized-access", "not-allowed", "decode-error", "resource-limit-exceeded", "link:stolen"),
    *("link:message-size-exceeded", "auth-failed", "entity-disabled", "precondition-failed"),
    *("argument-error", "argument-out-of-range"),
)
_NO_IDENTITY = ("DefaultAzureCredential failed", "CredentialUnavailable", "ClientAuthenticationError")
_LONGEST_TEXT = 300


@dataclass(frozen=True)
class Patience:
    """How long a namespace in trouble is waited for; times are seconds.

    After a failure the next of ``attempts`` waits ``first_pause``, then twice as long each time up to
    ``longest_pause``; four times as long where the namespace says that it is busy, as Azure asks. A partition that owes
    events may be silent for ``silence``.
    """

    attempts: int = 6
    first_pause: float = 1.0
    longest_pause: float = 30.0
    silence: float = 60.0

    def pause(self, failures: int, error: Exception) -> float:
        """The seconds to wait after so many failures in a row, the last of them ``error``."""
        first = self.first_pause * (4 if _condition(error) == "server-busy" else 1)
        return min(first * 2 ** (failures - 1), self.longest_pause)


@dataclass(frozen=True)
class PartitionState:
    """What a partition says of itself, and since when there has been its hub.

    ``last`` is -1, and ``last_enqueued`` None, when it never had an event.
    """

    partition: str
    first: int
    last: int
    last_enqueued: datetime | None
    is_empty: bool
    hub_created: datetime


@dataclass(frozen=True)
class HubConnection:
    """A namespace and who we are there: a connection string, or a credential of azure-identity."""

    namespace: str
    consumer_group: str = "$Default"
    connection_string: SecretStr | None = None
    credential: Any = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> "HubConnection":
        """The namespace that the settings name; nothing is asked of Azure yet.

        Raises EventHubError for settings that exclude each other or cannot be used, and when the library is missing.
        """
        _require_library()
        group = settings.event_hubs_consumer_group
        if settings.event_hubs_connection is not None:
            if settings.event_hubs is not None:
                raise EventHubError("LAKE_EVENT_HUBS and LAKE_EVENT_HUBS_CONNECTION are both set; keep one of them")
            return cls(_namespace_of(settings.event_hubs_connection), group, settings.event_hubs_connection)
        if settings.event_hubs is None:
            raise EventHubError("no namespace is named; set LAKE_EVENT_HUBS or LAKE_EVENT_HUBS_CONNECTION")
        from azure.identity import DefaultAzureCredential

        return cls(settings.event_hubs, group, credential=DefaultAzureCredential())

    def asker(self, hub: str) -> "EventHubConsumerClient":
        """A new client that asks the hub about itself; the caller closes it."""
        from azure.eventhub import EventHubConsumerClient

        return self._client(EventHubConsumerClient, hub, self.credential, consumer_group=self.consumer_group)

    def receiver(self, hub: str) -> "AsyncConsumerClient":
        """A new asynchronous client that reads; the caller closes it."""
        from azure.eventhub.aio import EventHubConsumerClient

        credential = AwaitableCredential(self.credential)
        return self._client(EventHubConsumerClient, hub, credential, consumer_group=self.consumer_group)

    def producer(self, hub: str) -> "EventHubProducerClient":
        """A new client that sends; the caller closes it."""
        from azure.eventhub import EventHubProducerClient

        return self._client(EventHubProducerClient, hub, self.credential)

    def _client(self, kind: Any, hub: str, credential: Any, **more: str) -> Any:
        options = {**_CLIENT, **self.options, **more, "eventhub_name": hub}
        if self.connection_string is not None:
            return kind.from_connection_string(self.connection_string.get_secret_value(), **options)
        return kind(fully_qualified_namespace=self.namespace, credential=credential, **options)

    def partitions(self, hub: str) -> list[PartitionState]:
        """Every partition of the hub as it is now, in the order of their ids. Raises EventHubError."""
        with self.telling(hub):
            client = self.asker(hub)
            try:
                told = client.get_eventhub_properties()
                ids, created = told["partition_ids"], told["created_at"].astimezone(UTC)
                with ThreadPoolExecutor(min(len(ids), AT_ONCE)) as threads:
                    found = list(threads.map(client.get_partition_properties, ids))
            finally:
                client.close()
        return [_state(properties, created) for properties in found]

    @contextmanager
    def telling(self, hub: str) -> Iterator[None]:
        """Turns what the client raises into an EventHubError that names the hub, the namespace and the remedy."""
        try:
            yield
        except client_errors() as error:
            raise self.told(hub, error) from None  # the client's own texts may be long, and hold addresses

    def told(self, hub: str, error: Exception) -> EventHubError:
        """``error`` as one that a person can act on; no secret is in it."""
        where = f"event hub {hub!r} in {self.namespace}"
        text, condition = str(error), _condition(error)
        if condition == "not-found" or "Status code: 404" in text:
            return EventHubError(self._told_missing(hub, text))
        if any(sign in text for sign in _NO_IDENTITY):
            return EventHubError(
                f"{where}: no Azure identity was found; run `az login`, run where a managed identity is, or set "
                "LAKE_EVENT_HUBS_CONNECTION"
            )
        if condition == "unauthorized-access" or "CBS Token authentication failed" in text:
            # Newer nodes of the service refuse a token without a status, whatever is wrong with it.
            perhaps = " (or there is no such hub: check its name)" if "Status code: None" in text else ""
            return EventHubError(f"{where}: Azure does not accept {self._credential_told}{perhaps}")
        if condition in ("link:stolen", "resource-limit-exceeded"):
            what = (
                "an exclusive reader has taken over" if condition == "link:stolen" else "too many readers are at work"
            )
            return EventHubError(
                f"{where}: {what} in the consumer group {self.consumer_group}; give the lake one of its own, and set "
                "LAKE_EVENT_HUBS_CONSUMER_GROUP"
            )
        if condition == "server-busy":
            return EventHubError(
                f"{where}: is throttled, and stayed so; send more slowly, or give the namespace more throughput units"
            )
        if condition == "socket-error":
            return EventHubError(
                f"{where}: cannot be reached; check the name in {self._setting}, and that the network lets AMQP "
                "(TCP port 5671) through"
            )
        return EventHubError(f"{where}: {self._without_secret(text)}; run again, and see docs/event-hubs.md")

    def _told_missing(self, hub: str, text: str) -> str:
        if "consumergroups" in text.lower():
            return (
                f"event hub {hub!r} in {self.namespace} has no consumer group {self.consumer_group!r}; create it, or "
                "correct LAKE_EVENT_HUBS_CONSUMER_GROUP"
            )
        return (
            f"{self.namespace} has no event hub {hub!r}; create it (az eventhubs eventhub create), or correct "
            "customProperties.source.hub in the contract"
        )

    @property
    def _setting(self) -> str:
        return "LAKE_EVENT_HUBS" if self.connection_string is None else "LAKE_EVENT_HUBS_CONNECTION"

    @property
    def _credential_told(self) -> str:
        if self.connection_string is None:
            return (
                "the identity that DefaultAzureCredential found; give it the role Azure Event Hubs Data Receiver to "
                "read, Azure Event Hubs Data Sender to send"
            )
        return (
            "LAKE_EVENT_HUBS_CONNECTION; check its key, and that its policy has the claim Listen to read, Send to send"
        )

    def _without_secret(self, text: str) -> str:
        text = without_secrets(" ".join(text.split()))
        if self.connection_string is not None:
            key = re.search(r"SharedAccessKey=([^;]+)", self.connection_string.get_secret_value(), re.IGNORECASE)
            text = text.replace(key[1], "...") if key else text
        return text[:_LONGEST_TEXT]


class AwaitableCredential:
    """A credential as the asynchronous client asks for it. The token is fetched by a thread: it may take seconds."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: object) -> Any:
        """The credential's token for the scopes."""
        return await asyncio.to_thread(self._credential.get_token, *scopes, **options)


def client_errors() -> tuple[type[Exception], ...]:
    """What the client and the network raise; anything else is a mistake of ours."""
    from azure.core.exceptions import AzureError
    from azure.eventhub.exceptions import EventHubError as ClientError

    return ClientError, AzureError, OSError


def is_passing(error: Exception) -> bool:
    """Whether trying again may help: not where the namespace refuses the hub, the reader or the credential."""
    from azure.eventhub.exceptions import AuthenticationError

    text = str(error)
    if _condition(error) in _FINAL or "Status code: 404" in text or any(sign in text for sign in _NO_IDENTITY):
        return False
    return not isinstance(error, AuthenticationError) or "timeout" in text


def _condition(error: Exception) -> str | None:
    """What AMQP calls the error, without its prefix: ``server-busy``, ``link:stolen``."""
    return getattr(error, "error", None)


def _state(properties: dict[str, Any], hub_created: datetime) -> PartitionState:
    last = properties["last_enqueued_sequence_number"]
    return PartitionState(
        partition=properties["id"],
        first=properties["beginning_sequence_number"],
        last=last,
        last_enqueued=properties["last_enqueued_time_utc"].astimezone(UTC) if last >= 0 else None,
        is_empty=bool(properties["is_empty"]),
        hub_created=hub_created,
    )


def _namespace_of(connection_string: SecretStr) -> str:
    from azure.eventhub import parse_connection_string

    try:
        return parse_connection_string(connection_string.get_secret_value()).fully_qualified_namespace
    except ValueError:
        raise EventHubError(
            "LAKE_EVENT_HUBS_CONNECTION is no connection string of Event Hubs; write "
            "Endpoint=sb://<namespace>.servicebus.windows.net/;SharedAccessKeyName=<policy>;SharedAccessKey=<key>"
        ) from None  # the library's text may quote it


def _require_library() -> None:
    try:
        import azure.eventhub
        import azure.identity  # noqa: F401
    except ImportError:
        raise EventHubError("Azure Event Hubs needs azure-eventhub: pip install 'dagster-lake[azure]'") from None
