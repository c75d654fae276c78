"""Events that Capture has not written: gaps in the numbers of a partition, within an hour and between hours.

Capture may be silent for hours, lose a file, or write one late; a hub that had no events looks the same, until the next
event comes: the numbers of a partition are consecutive. So an hour is held against the nearest earlier and later hours
that have events. What is missing may belong to every hour between the events on both sides of the gap.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from upath import UPath

from dagster_lake import clock
from dagster_lake.contract.model import Contract
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.landing.attempt import locked
from dagster_lake.landing.result import Landed
from dagster_lake.storage.manifest import Manifest, read_manifest, write_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.sequence_runs import SILENCE, Run, joined

MOST_HOURS = 7 * 24
"""How far an hour's neighbours are looked for: longer than this, hardly a hub holds its events."""
_TOLD = 3
Gaps = Mapping[str, tuple[Run, ...]]
"""The numbers that are missing, by partition; each with the times of the events before and after."""


@dataclass(frozen=True)
class _Neighbour:
    """A landed hour near the one in question."""

    hour: datetime
    manifest: Manifest


def closed(contract: Contract, lake: Lake, hour: datetime, manifest: Manifest, *, give_up: bool = False) -> Manifest:
    """The manifest of an hour of which everything should have come: complete, or with what it ``lacks``.

    With ``give_up``, what is missing is no longer waited for.
    """
    missing = gaps(contract, lake, hour, manifest)
    if not missing or not give_up:
        return replace(manifest, complete=manifest.complete and not missing, lacks=missing or None)
    before = manifest.given_up or {}
    given_up = {p: tuple(dict.fromkeys((*before.get(p, ()), *missing.get(p, ())))) for p in {**before, **missing}}
    return replace(manifest, complete=True, lacks=None, given_up=given_up)


def gaps(contract: Contract, lake: Lake, hour: datetime, manifest: Manifest) -> dict[str, tuple[Run, ...]]:
    """What is missing of an hour of which ``manifest`` is all that came.

    A gap that reaches over an hour which is still to be landed is left to that hour.
    """
    near = _neighbours(contract, lake, hour, manifest)
    settled = {one.hour for one in near if one.manifest.is_over or one.manifest.lacks} | {hour}
    manifests = [manifest, *(one.manifest for one in near)]
    found = {}
    for partition, runs in joined(*(one.runs or {} for one in manifests)).items():
        given_up = [run for one in manifests for run in (one.given_up or {}).get(partition, ())]
        of_hour = [
            gap
            for gap in _between(runs)
            if hour in (reach := _hours_of(gap)) and settled.issuperset(reach) and not _is_within(gap, given_up)
        ]
        if of_hour:
            found[partition] = tuple(of_hour)
    return found


def hold_other_hours(contract: Contract, lake: Lake, hour: datetime, gaps: Gaps) -> None:
    """Marks every other hour that a gap of ``hour`` reaches over as unfinished, so that it is landed again."""
    for other in sorted({other for of in gaps.values() for gap in of for other in _hours_of(gap)} - {hour}):
        folder = _folder(contract, lake, other)
        here = {p: own for p, of in gaps.items() if (own := tuple(gap for gap in of if other in _hours_of(gap)))}
        with locked(folder, f"{contract.name}, hour {hour_key(other)}"):
            before = read_manifest(folder)
            if before is not None:
                after = replace(before, complete=False, lacks={**(before.lacks or {}), **here})
                if after != before:
                    write_manifest(folder, after, replacing=before)


def has_news(gaps: Gaps, before: Gaps) -> bool:
    """Whether something is missing that was not known to be."""
    return any(not _is_within(gap, before.get(partition, ())) for partition, of in gaps.items() for gap in of)


def told(contract: Contract, gaps: Gaps) -> str:
    """What is missing, for people, and what to do."""
    lines = [
        f"{gap.last - gap.first + 1:,} of partition {partition} ({gap.first:,} to {gap.last:,}), enqueued between "
        f"{gap.since:%Y-%m-%d %H:%M:%S} and {gap.until:%Y-%m-%d %H:%M:%S}"
        for partition, of_partition in gaps.items()
        for gap in of_partition
    ]
    more = f"; and {len(lines) - _TOLD:,} more gaps" if len(lines) > _TOLD else ""
    hours = sorted({hour for of in gaps.values() for gap in of for hour in _hours_of(gap)})
    span = hour_key(hours[0]) if len(hours) == 1 else f"{hour_key(hours[0])} to {hour_key(hours[-1])}"
    return (
        f"events never came, by their sequence numbers: {'; '.join(lines[:_TOLD])}{more}. The hours {span} are held "
        "unfinished and landed again by the hourly runs of the next two days: see that Capture writes, and put back "
        f"files that were moved away. To wait no longer, land them with refresh: true. {contract.file}, source"
    )


def with_gaps(contract: Contract, landed: Landed, manifest: Manifest, before: Manifest | None) -> Landed:
    """What was landed, with what ``manifest`` lacks; ``before`` is the manifest that it replaced."""
    if not manifest.lacks:
        return landed
    known = (before and before.lacks) or {}
    return replace(landed, lacks=told(contract, manifest.lacks), lacks_more=has_news(manifest.lacks, known))


def end_of(gaps: Gaps) -> datetime:
    """When the last event after a gap was enqueued: by then, Capture was writing again."""
    return max(gap.until for of_partition in gaps.values() for gap in of_partition)


def _neighbours(contract: Contract, lake: Lake, hour: datetime, manifest: Manifest) -> list[_Neighbour]:
    """The landed hours around, as far as those with events of each partition in question."""
    wanted = {*(manifest.runs or {}), *(manifest.lacks or {})}
    open_hour = hour_of(clock.utc_now())
    near: list[_Neighbour] = []
    before = (hour - number * HOUR for number in range(1, MOST_HOURS + 1))
    after = (hour + number * HOUR for number in range(1, min(MOST_HOURS, (open_hour - hour) // HOUR) + 1))
    for direction in (before, after):
        left = set(wanted)
        for one in _landed(contract, lake, direction):
            near.append(one)
            there = {*(one.manifest.runs or {})}
            wanted |= there
            left -= there
            if there and not left:
                break
    return near


def _landed(contract: Contract, lake: Lake, hours: Iterator[datetime]) -> Iterator[_Neighbour]:
    for hour in hours:
        if (manifest := read_manifest(_folder(contract, lake, hour))) is not None:
            yield _Neighbour(hour, manifest)


def _between(runs: tuple[Run, ...]) -> Iterator[Run]:
    """The numbers that lie between runs of one hub, with the times between which they were enqueued."""
    for hub in _by_hub(runs):
        ordered = sorted(hub, key=lambda run: run.first)
        for before, after in pairwise(ordered):
            if after.first > before.last + 1:
                since, until = sorted((before.until, after.since))
                yield Run(before.last + 1, after.first - 1, since, until)


def _by_hub(runs: tuple[Run, ...]) -> list[list[Run]]:
    """The runs of each hub: one that was made anew counts from 0 again, later than all that its forerunner took.

    That the numbers step back by a clock that does is no such thing; the two times are then near each other.
    """
    hubs: list[list[Run]] = []
    highest: Run | None = None
    for run in sorted(runs, key=lambda run: (run.since, run.first)):
        if highest is None or (run.first <= highest.last and run.since - highest.until > SILENCE):
            hubs.append([])
            if highest is not None and run.first > 0:
                hubs[-1].append(Run(-1, -1, highest.until, highest.until))
            highest = None
        hubs[-1].append(run)
        highest = run if highest is None or run.last > highest.last else highest
    return hubs


def _is_within(gap: Run, others: Iterable[Run]) -> bool:
    return any(one.first <= gap.first and gap.last <= one.last and gap.since <= one.until for one in others)


def _hours_of(gap: Run) -> list[datetime]:
    return list(HourRange(hour_of(gap.since), hour_of(gap.until)))


def _folder(contract: Contract, lake: Lake, hour: datetime) -> UPath:
    return lake.raw_partition(contract.name, hour_key(hour), sensitive=contract.sensitive)
