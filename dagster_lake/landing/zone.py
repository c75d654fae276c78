"""A data set lies in one zone: what moves to another is moved by hand, not begun anew beside the old."""

from dagster_lake.contract.model import Contract
from dagster_lake.landing.result import LandingError
from dagster_lake.storage.manifest import landed_partitions
from dagster_lake.storage.paths import Lake


def require_one_zone(contract: Contract, lake: Lake) -> None:
    """Raises LandingError when raw of the data set lies where its contract no longer has it."""
    left = lake.raw(contract.name, sensitive=not contract.sensitive)
    if landed_partitions(left):
        place = lake.raw(contract.name, sensitive=contract.sensitive)
        raise LandingError(
            f"{contract.name}: {left} holds what landed, and by {contract.file} it belongs to {place}, because the "
            "contract's zone, masking or classification changed. With no run going, move that folder there, and "
            f"those of bronze and quarantine likewise (from {left.parent.parent} to {place.parent.parent}); or change "
            "the contract back"
        )
