"""Hours of which the event hub forgot events before they were landed: told, kept as incomplete, and not waited for."""

from dataclasses import replace

from dagster_lake import clock
from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.lake_hour import HOUR, HourRange, hour_of
from dagster_lake.landing.result import Landed
from dagster_lake.storage.manifest import Manifest, read_manifest
from dagster_lake.storage.paths import Lake


def with_expired(contract: Contract, landed: Landed, manifest: Manifest, before: Manifest | None) -> Landed:
    """What was landed, with what may have expired of it; ``before`` is the manifest that ``manifest`` replaced."""
    assert isinstance(contract.source, EventHubSource)
    assert manifest.expired is not None
    why = (
        f"hour {manifest.partition}: the event hub {contract.source.hub} no longer has what was enqueued until "
        f"{manifest.expired.isoformat()}, so events of this hour may have expired before they were landed. "
        "What is left was landed, and the hour stays marked as incomplete. Send the lost events again, or "
        "accept the loss: land the hour with refresh: true"
    )
    known = before is not None and before.expired is not None
    lacks = f"{landed.lacks}\n{why}" if landed.lacks else why
    return replace(landed, lacks=lacks, lacks_more=landed.lacks_more or not known)


_complete: dict[str, frozenset[str]] = {}
"""By raw folder, the hours that this process has seen complete: they stay so, and need not be read every minute."""


def expired_hours(contract: Contract, lake: Lake, most: int) -> list[str]:
    """Those of the last ``most`` hours of which events have expired, and nobody has accepted it yet."""
    last = hour_of(clock.utc_now())
    raw = str(lake.raw(contract.name, sensitive=contract.sensitive))
    hours, known = HourRange(last - most * HOUR, last).keys, _complete.get(raw, frozenset())
    found, complete = [], known & {*hours}
    for hour in hours:
        if hour in complete:
            continue
        manifest = read_manifest(lake.raw_partition(contract.name, hour, sensitive=contract.sensitive))
        if manifest is not None and manifest.complete:
            complete |= {hour}
        elif manifest is not None and manifest.expired:
            found.append(hour)
    _complete[raw] = complete
    return found
