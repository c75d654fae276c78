"""Where a live stream goes. With ``shop_target`` alone in this package it knows the lake, and only when it is used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from generators.world import World

if TYPE_CHECKING:
    from dagster_lake.settings.lake import Settings
    from dagster_lake.sources.event_hub.protocol import EventHub


class TargetError(Exception):
    """The event hub cannot be opened, or takes no more; the message names the remedy."""


@dataclass(frozen=True)
class Target:
    """An event hub to send to, and the generated world that its lake has."""

    name: str
    world: World
    send: Callable[[pa.RecordBatch], None]


@contextmanager
def open_target(hub: str, hub_folder: Path | None, namespace: str | None) -> Iterator[Target]:
    """The embedded event hub in `hub_folder`, Azure's in `namespace`, or the one that the settings name.

    Raises `TargetError` when it cannot be opened; so does `send` when it cannot go on.
    """
    from dagster_lake.settings.lake import Settings
    from dagster_lake.shop.world import world_of
    from dagster_lake.sources.event_hub.azure import AzureEventHub

    if hub_folder is not None and namespace is not None:
        raise TargetError("--hub-folder and --namespace are both given; keep one of them")
    with telling():
        settings = Settings()
        if namespace is not None:
            settings = settings.model_copy(update={"event_hubs": namespace, "event_hubs_connection": None})
        opened, place = _opened(settings, hub_folder)

    def send(batch: pa.RecordBatch) -> None:
        with telling():
            opened.send(hub, [batch])

    try:
        yield Target(f"event hub {hub!r} in {place}", replace(world_of(settings), vip_users=0), send)
    finally:
        if isinstance(opened, AzureEventHub):
            opened.close()


def _opened(settings: "Settings", hub_folder: Path | None) -> "tuple[EventHub, object]":
    from dagster_lake.sources.choice import open_event_hub
    from dagster_lake.sources.event_hub.azure import AzureEventHub
    from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
    from dagster_lake.storage.paths import Lake

    if hub_folder is not None:
        return EmbeddedEventHub(hub_folder), hub_folder
    lake = Lake.placed(settings)
    opened = open_event_hub(settings, lake)
    return opened, opened.connection.namespace if isinstance(opened, AzureEventHub) else lake.sources / "event_hub"


@contextmanager
def telling() -> Iterator[None]:
    """Turns the lake's own errors into TargetError."""
    from dagster_lake.errors import LakeError

    try:
        yield
    except LakeError as error:
        raise TargetError(str(error)) from error
