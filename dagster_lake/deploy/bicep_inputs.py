"""What Bicep takes from the contracts and the streams, as JSON files: ``python -m dagster_lake.deploy.bicep_inputs``.

Storage removes files by their age alone, so only folders without Delta tables may be named: a table's log would go on
naming files that are gone. Folders in which files are dropped are not named either, since a snapshot is all of them,
old ones included.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from upath import UPath

from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import StreamDeclaration

GENERATED = PROJECT_ROOT / "infra" / "bicep" / "generated"
MOST_RULES = 99
"""Azure takes 100 lifecycle rules an account, and one is storage.bicep's own."""

# Where folders lie is asked of a lake at the root of nowhere.
_LAYOUT = Lake(UPath("/"))


class BicepInputError(LakeError):
    """The contracts ask for what Azure cannot do; the message says what to change."""


@dataclass(frozen=True)
class Retention:
    """Files below ``folder`` of the lake are removed when they are older than ``days``."""

    name: str
    folder: str
    days: int


@dataclass(frozen=True)
class Hub:
    """An event hub, and the folder of the lake that Capture writes its events to."""

    hub: str
    folder: str


def retention(data_sets: Mapping[str, Contract], streams: Mapping[str, StreamDeclaration]) -> list[Retention]:
    """The folders whose files go by age, by name: what landed, what Capture wrote, what Stream Analytics wrote,
    and what sinks of streams did.

    A stream is kept as long as the data set it is made of that is kept the shortest. Raises BicepInputError when there
    are more than ``MOST_RULES``, and when data sets of one folder are to be kept differently.
    """
    rules = [*_of_contracts(data_sets), *_of_streams(data_sets, streams)]
    for rule in rules:
        if other := next((one for one in rules if one.folder == rule.folder and one.days != rule.days), None):
            raise BicepInputError(
                f"{rule.name} and {other.name} are both {rule.folder}, to be kept {rule.days} and {other.days} days; "
                "give each a folder of its own in customProperties.source.capture"
            )
    if len(rules) > MOST_RULES:
        raise BicepInputError(
            f"{len(rules)} folders have a retention, and a storage account takes {MOST_RULES} such rules; remove "
            "slaProperties.retention where data may stay, or split the lake"
        )
    return sorted(rules, key=lambda rule: rule.name)


def _of_contracts(data_sets: Mapping[str, Contract]) -> Iterator[Retention]:
    for contract in data_sets.values():
        if contract.retention_days is None:
            continue
        raw = _LAYOUT.raw(contract.name, sensitive=contract.sensitive)
        yield Retention(f"raw-{_hyphened(contract.name)}", _folder(raw), contract.retention_days)
        if isinstance(contract.source, EventHubSource):
            captured = _captured(contract, contract.source)
            yield Retention(f"captured-{_hyphened(contract.name)}", captured, contract.retention_days)


def _of_streams(data_sets: Mapping[str, Contract], streams: Mapping[str, StreamDeclaration]) -> Iterator[Retention]:
    for stream in streams.values():
        kept = [data_sets[name].retention_days for name in stream.inputs if name in data_sets]
        if (shortest := min((days for days in kept if days is not None), default=None)) is None:
            continue
        if stream.stream_analytics is not None:
            yield Retention(f"streamed-{_hyphened(stream.name)}", f"stream_analytics/{stream.name}", shortest)
        for sink in stream.sinks:
            if sink.files is not None:
                yield Retention(f"dropped-{_hyphened(sink.files)}", _folder(_LAYOUT.drop(sink.files)), shortest)


def hubs(data_sets: Mapping[str, Contract]) -> list[Hub]:
    """Every hub of an event data set, by name; Capture writes to where the contract has it read, or could.

    Of several data sets of one hub, one that is read from Capture says where.
    """
    events = [(c, c.source) for c in data_sets.values() if isinstance(c.source, EventHubSource)]
    events.sort(key=lambda event: (event[1].capture is not None, event[0].name))
    found = {source.hub: Hub(source.hub, _captured(contract, source)) for contract, source in events}
    return [found[hub] for hub in sorted(found)]


def _captured(contract: Contract, source: EventHubSource) -> str:
    own = source.capture is None or "://" in source.capture
    return _folder(_LAYOUT.landing(contract.name)) if own else f"landing/{str(source.capture).strip('/')}"


def generated() -> dict[Path, str]:
    """The files and their content, for the project's own contracts and streams. Raises BicepInputError."""
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.streams.declarations import stream_declarations

    rules = retention(contracts(), stream_declarations(manifest()))
    lists = {"retention": [asdict(rule) for rule in rules], "event_hubs": [asdict(hub) for hub in hubs(contracts())]}
    return {GENERATED / f"{name}.json": json.dumps(rows, indent=2) + "\n" for name, rows in lists.items()}


def main() -> None:
    """Writes the files."""
    for file, text in generated().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(file.relative_to(PROJECT_ROOT))


def _folder(path: UPath) -> str:
    return path.path.strip("/")


def _hyphened(name: str) -> str:
    return name.replace("_", "-")


if __name__ == "__main__":
    main()
