"""What `lake doctor` says of the event hub: which one it is, and whether it lets us read."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.cli.shared.text import path_text
from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.errors import LakeError
from dagster_lake.landing.hubs import captured_hub
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.choice import uses_azure
from dagster_lake.sources.event_hub.azure_connection import HubConnection
from dagster_lake.sources.event_hub.captured import CapturedEventHub
from dagster_lake.storage.adls.options import AzureSettingsError
from dagster_lake.storage.adls.path import AddressError
from dagster_lake.storage.paths import Lake

_REMEDY = "do what it says, and run `lake doctor` again; see docs/event-hubs.md"


def event_hub_findings(settings: Settings) -> list[Finding]:
    """The embedded event hub, or each hub that is read from Azure; and each that is read from what Capture wrote."""
    try:
        lake = Lake.placed(settings)
    except (AddressError, AzureSettingsError):
        return []  # the checks of ADLS tell it
    findings = [] if uses_azure(settings) else [embedded(lake)]
    for contract in contracts().values():
        if isinstance(contract.source, EventHubSource):
            findings += hub_findings(settings, lake, contract, contract.source)
    return findings


def embedded(lake: Lake) -> Finding:
    """Where the embedded event hub is."""
    folder = lake.sources / "event_hub"
    there = "" if folder.exists() else ", made with the first events"
    return Finding("ok", "event hub", f"embedded, in {path_text(folder)}{there}")


def hub_findings(settings: Settings, lake: Lake, contract: Contract, source: EventHubSource) -> list[Finding]:
    """Whether a data set's events can be read; nothing where they come from the embedded event hub."""
    if source.capture:
        return [_told(f"capture of {source.hub}", partial(_captured, contract, source.hub, lake))]
    return [_told(f"event hub {source.hub}", partial(_azure, settings, source.hub))] if uses_azure(settings) else []


def _azure(settings: Settings, hub: str) -> str:
    connection = HubConnection.of(settings)
    how = "DefaultAzureCredential" if connection.connection_string is None else "LAKE_EVENT_HUBS_CONNECTION"
    partitions = connection.partitions(hub)
    newest = max((one.last_enqueued for one in partitions if one.last_enqueued), default=None)
    return f"{len(partitions)} partitions in {connection.namespace} by {how}, {_newest_text(newest)}"


def _captured(contract: Contract, hub: str, lake: Lake) -> str:
    files = captured_hub(contract, lake)
    assert isinstance(files, CapturedEventHub)
    newest = max((position.enqueued_time for position in files.newest(hub).values()), default=None)
    return f"{path_text(str(files.folder))}, {_newest_text(newest)}"


def _newest_text(newest: datetime | None) -> str:
    return "no event yet" if newest is None else f"newest event {newest:%Y-%m-%d %H:%M:%S} UTC"


def _told(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", subject, look())
    except LakeError as error:
        return Finding("fail", subject, str(error), _REMEDY)
