"""The event hub that a data set's events are read from: the one that the settings name, or what Capture wrote of it."""

from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.landing.result import LandingError
from dagster_lake.sources.event_hub.captured import CapturedEventHub
from dagster_lake.sources.event_hub.protocol import EventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.adls.path import AdlsPath
from dagster_lake.storage.paths import Lake, is_remote


def hub_of(contract: Contract, lake: Lake, sources: Sources) -> EventHub:
    """The hub to read the data set's events from, by its contract.

    Raises LandingError for a folder of Capture's that this lake cannot reach, AddressError for one in another account.
    """
    return captured_hub(contract, lake) or sources.event_hub


def captured_hub(contract: Contract, lake: Lake) -> CapturedEventHub | None:
    """What Capture writes of the data set's hub; None where the contract has its events read from the hub itself.

    Raises as ``hub_of`` does.
    """
    assert isinstance(contract.source, EventHubSource)
    folder = contract.source.capture
    if folder is None:
        return None
    if not is_remote(folder):
        return CapturedEventHub(lake.root / "landing" / folder.rstrip("/"))
    if not isinstance(lake.root, AdlsPath):
        raise LandingError(
            f"{contract.file}: customProperties.source.capture is in ADLS Gen2, and the lake is on this machine; set "
            "LAKE_ROOT to a folder in the same storage account, or name a folder below landing/"
        )
    return CapturedEventHub(lake.root.beside(folder.rstrip("/")))
