"""Landing lake hours. Raw of an hour only grows: an attempt holds what the attempts before it do not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from upath import UPath

from dagster_lake import clock
from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.landing import events, rows
from dagster_lake.landing.attempt import AttemptFolder, locked, remove_leftovers, until_published
from dagster_lake.landing.empty_hour import empty_hour
from dagster_lake.landing.expired import with_expired
from dagster_lake.landing.fold import fold
from dagster_lake.landing.gaps import closed, end_of, hold_other_hours, with_gaps
from dagster_lake.landing.hubs import captured_hub, hub_of
from dagster_lake.landing.result import Landed, LandingError
from dagster_lake.landing.zone import require_one_zone
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA
from dagster_lake.sources.opened import Sources
from dagster_lake.storage import unfinished
from dagster_lake.storage.manifest import Attempt, Manifest, ManifestReplaced, read_manifest, write_manifest
from dagster_lake.storage.paths import Lake

TIDIED_AFTER = 3 * HOUR
"""When an hour is begun, the one so long before is tidied up."""
_TOLD = 5


def land_hours(
    contract: Contract, lake: Lake, hours: HourRange, sources: Sources, *, refresh: bool = False
) -> list[Landed]:
    """Lands each hour, in order, and gives one result an hour. An hour without data is landed too, with 0 rows.

    A complete hour is left as it is, unless its database rows no longer look as they did (a late commit), or
    ``refresh`` asks for another read. Either way raw keeps all it had: a refresh adds what is new. An hour still open
    is landed with ``complete=False`` and must be landed again. So is one of which Capture has left out events, with the
    other hours that they may be of, until they come or ``refresh`` no longer waits for them. One of which the hub may
    have forgotten events before they were landed is landed with what is left, and stays incomplete until ``refresh``
    accepts that. Raises LandingError for an hour that has not begun; the other hours are landed before.
    """
    require_one_zone(contract, lake)
    landed, refused = [], []
    for hour in hours:
        try:
            landed.append(until_published(partial(_land_hour, contract, lake, hour, sources, refresh)))
        except LandingError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        more = [f"and {len(refused) - _TOLD:,} more hours"] if len(refused) > _TOLD else []
        raise LandingError("\n".join([*map(str, refused[:_TOLD]), *more]))
    return landed


def late_commits(contract: Contract, lake: Lake, hours: HourRange, sources: Sources) -> list[datetime]:
    """The starts of those complete hours of which the source has something that is not landed.

    That is a row of a database, or a file that Event Hubs Capture wrote; a hub itself has no late commits. A row that
    left its hour, since it was updated, is none. Give the three hours before the one that is being landed, rather than
    before now: then an outage cannot hide a late commit. Landing the returned hours again adds what is missing.
    """
    has_news = _has_news_of(contract, lake, sources)
    if has_news is None:
        return []
    late = []
    for hour in hours:
        manifest = read_manifest(_folder(contract, lake, hour))
        if manifest and manifest.complete and has_news(hour, manifest):
            late.append(hour)
    return late


def _has_news_of(contract: Contract, lake: Lake, sources: Sources) -> Callable[[datetime, Manifest], bool] | None:
    """Whether a source that may still add to an hour has done so; None for another source."""
    if isinstance(contract.source, DatabaseSource):
        return lambda hour, manifest: rows.has_news(
            contract, hour, sources.database, manifest, _folder(contract, lake, hour)
        )
    if isinstance(contract.source, EventHubSource) and (captured := captured_hub(contract, lake)):
        hub = contract.source.hub
        return lambda hour, manifest: captured.look(hub, hour, hour + HOUR) != manifest.source_state
    return None


def _land_hour(contract: Contract, lake: Lake, hour: datetime, sources: Sources, refresh: bool) -> Landed:
    now = clock.utc_now()
    if now <= hour:
        raise LandingError(f"{contract.name}, hour {hour_key(hour)}: has not begun; land it when it has")
    folder = _folder(contract, lake, hour)
    with locked(folder, f"{contract.name}, hour {hour_key(hour)}"):
        before = read_manifest(folder)
        if (
            before
            and before.complete
            and not refresh
            and not late_commits(contract, lake, HourRange(hour, hour), sources)
        ):
            if before.replaced:
                remove_leftovers(folder, before, now)
            return Landed.of(before, changed=False)
        remove_leftovers(folder, before, now)
        if before and not before.complete and isinstance(contract.source, EventHubSource):
            before = fold(folder, before, EVENT_SCHEMA, now)
        attempt = AttemptFolder(folder, before.next_attempt if before else 1)
        after = _read_source(
            contract, lake, hour, sources, before or empty_hour(contract, hour, now), attempt, refresh, now
        )
        landed = _publish(contract, lake, hour, before, after, attempt, now)
    if after.lacks:
        hold_other_hours(contract, lake, hour, after.lacks)
        landed = with_gaps(contract, landed, after, before)
    if after.expired and not after.complete:
        landed = with_expired(contract, landed, after, before)
    if before is None:
        _tidy(contract, lake, hour - TIDIED_AFTER, now)
    return landed


def _tidy(contract: Contract, lake: Lake, hour: datetime, now: datetime) -> None:
    """Removes the attempts of an earlier hour that were folded into others: nobody is reading them any more."""
    folder = _folder(contract, lake, hour)
    manifest = read_manifest(folder)
    if manifest is not None and manifest.replaced:
        with locked(folder, f"{contract.name}, hour {hour_key(hour)}"):
            remove_leftovers(folder, read_manifest(folder), now)


def _folder(contract: Contract, lake: Lake, hour: datetime) -> UPath:
    return lake.raw_partition(contract.name, hour_key(hour), sensitive=contract.sensitive)


def _read_source(
    contract: Contract,
    lake: Lake,
    hour: datetime,
    sources: Sources,
    before: Manifest,
    attempt: AttemptFolder,
    refresh: bool,
    now: datetime,
) -> Manifest:
    """Fills ``attempt`` with what the source has and ``before`` has not; gives the manifest without the attempt.

    It says whether the hour is complete: the event hub knows up to when it is settled, a database commits by the clock.
    """
    if isinstance(contract.source, EventHubSource):
        captured = captured_hub(contract, lake)
        if captured is None:
            return events.land(contract, hour, hub_of(contract, lake, sources), before, attempt, refresh)
        before = replace(before, source_state=captured.look(contract.source.hub, hour, hour + HOUR))  # then it is read
        held_up = captured.as_written_until(end_of(before.lacks)) if before.lacks else captured
        after = events.land(contract, hour, held_up, before, attempt, refresh)
        return closed(contract, lake, hour, after, give_up=refresh) if after.is_over else after
    if isinstance(contract.source, DatabaseSource):
        after = rows.land(contract, hour, sources.database, before, attempt)
        return replace(after, complete=after.complete or now > hour + HOUR)
    raise LandingError(f"{contract.name}: arrives as files, which are landed as snapshots and not by hour")


def _state(manifest: Manifest) -> tuple[object, ...]:
    """What of a manifest the tables and their readers go by."""
    return manifest.attempts, manifest.complete, manifest.expired


def _publish(
    contract: Contract,
    lake: Lake,
    hour: datetime,
    before: Manifest | None,
    after: Manifest,
    attempt: AttemptFolder,
    now: datetime,
) -> Landed:
    folder = _folder(contract, lake, hour)
    if attempt.files or before is None:
        landed = Attempt(after.next_attempt, now, tuple(attempt.files))
        after = replace(after, attempts=(*after.attempts, landed))
    changed = before is None or _state(after) != _state(before)
    if changed:
        after = replace(after, landed_at=now)
    if attempt.files:
        unfinished.begin(lake, contract.name, [hour_key(hour)])
    if after != before:
        try:
            write_manifest(folder, after, replacing=before)
        except ManifestReplaced:
            attempt.discard()
            raise
    if attempt.files:  # whoever made the tables of what was there before may have ended the note meanwhile
        unfinished.begin(lake, contract.name, [hour_key(hour)])
    return Landed.of(after, changed=changed)
