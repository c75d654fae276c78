"""The source systems that the settings name; by default the embedded ones, on this machine."""

from dagster_lake.landing.result import Sources
from dagster_lake.resources.database import Database
from dagster_lake.resources.embedded_event_hub import EmbeddedEventHub
from dagster_lake.settings import Settings
from dagster_lake.storage.paths import Lake


def open_sources(settings: Settings, lake: Lake) -> Sources:
    """The event hub and the database, the embedded ones created when absent."""
    folder = lake.sources
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url or f"sqlite:///{folder / 'shop.db'}")
    database.create_tables()
    return Sources(EmbeddedEventHub(folder / "event_hub"), database)
