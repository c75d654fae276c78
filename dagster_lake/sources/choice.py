"""The source systems that the settings name; by default the embedded ones, on this machine."""

from functools import partial

from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import EventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.paths import Lake


def open_sources(settings: Settings, lake: Lake) -> Sources:
    """The event hub and the database, each opened when it is first needed: one that is away stops the other's data
    sets not."""
    return Sources.when_needed(partial(open_event_hub, settings, lake), lambda: Database(database_url(settings, lake)))


def database_url(settings: Settings, lake: Lake) -> str:
    """The SQL source's address; by default the embedded one's."""
    return settings.database_url or f"sqlite:///{lake.sources / 'shop.db'}"


def open_event_hub(settings: Settings, lake: Lake) -> EventHub:
    """Azure Event Hubs where the settings name a namespace, otherwise the embedded event hub.

    Nothing is asked of Azure yet. Raises EventHubError for settings that cannot be used.
    """
    if not uses_azure(settings):
        return EmbeddedEventHub(lake.sources / "event_hub")
    from dagster_lake.sources.event_hub.azure import AzureEventHub
    from dagster_lake.sources.event_hub.azure_connection import HubConnection

    return AzureEventHub(HubConnection.of(settings))


def uses_azure(settings: Settings) -> bool:
    """Whether events come from Azure Event Hubs."""
    return settings.event_hubs is not None or settings.event_hubs_connection is not None
