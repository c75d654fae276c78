"""From format 1 to 2: what arrives as text moves to the sensitive zone, and the first hour is written down.

Raw is the truth and moves as it is. The tables follow from it, by rules that are others by now; they are made again.
"""

from collections.abc import Iterator

from upath import UPath

from dagster_lake.contract.model import Contract, contracts
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.manifest import landed_partitions
from dagster_lake.storage.marker import change_marker
from dagster_lake.storage.moving import move_folder
from dagster_lake.storage.paths import DEFAULT_FIRST_HOUR, Lake
from dagster_lake.upgrade.step import Say, Step


def _moves(lake: Lake) -> Iterator[tuple[Contract, UPath, UPath]]:
    for contract in contracts().values():
        old = lake.raw(contract.name, sensitive=not contract.sensitive)
        if old.exists():
            yield contract, old, lake.raw(contract.name, sensitive=contract.sensitive)


def _told(lake: Lake, settings: Settings) -> list[str]:
    found = [f"move {old} to {new}: {len(landed_partitions(old))} partitions" for _, old, new in _moves(lake)]
    return found or ["raw: every data set is in its zone already"]


def _move(lake: Lake, settings: Settings, say: Say) -> None:
    lake.shut_sensitive()
    for contract, old, new in _moves(lake):
        say(f"raw of {contract.name} moves to {new}")
        move_folder(old, new, f"upgrade.raw.{contract.name}")


def _first_hour_told(lake: Lake, settings: Settings) -> list[str]:
    return [f"write the first hour, {DEFAULT_FIRST_HOUR}, into {lake.marker}"]


def _write_first_hour(lake: Lake, settings: Settings, say: Say) -> None:
    change_marker(lake.root, lambda held: None if held is None else {"first_hour": DEFAULT_FIRST_HOUR, **held})


STEPS = (Step("1: first hour", _first_hour_told, _write_first_hour), Step("1: raw", _told, _move))
