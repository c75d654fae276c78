"""Whether what was dropped could be read, and whether every event has come: checks of steps of their own.

A folder or file that cannot be read is as loud as can be: the run fails. But it fails here, where nothing is
downstream. The last snapshot stays in force, and what is made of it goes on. A run by schedule or sensor fails once for
it: while the same is refused for the same reason, the check warns, so that the next failure is news. So it is with
events that Capture has not written, or that expired in the hub before they were landed: all else goes on, and the run
that finds it fails.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial

import dagster as dg

from dagster_lake.asset_keys import raw_key
from dagster_lake.contract.model import Contract, EventHubSource, FileSource, contracts
from dagster_lake.defs.contracts.raw import LACKS_BY_HOUR, REFUSED
from dagster_lake.defs.hourly_checks import Evaluated, evaluated, hourly_check
from dagster_lake.defs.partitions import hours_if_any
from dagster_lake.lake_resource import LakeResource
from dagster_lake.storage.unfinished import TAKEN_UP_HOURS

LANDED = "landed"
_BY_ITSELF = {"dagster/schedule_name", "dagster/sensor_name"}
"""Tags of a run that nobody is waiting for."""


def landing_checks() -> list[dg.AssetChecksDefinition]:
    """One check for each data set that arrives as files or as events."""
    return [check for contract in contracts().values() if (check := check_of(contract)) is not None]


def check_of(contract: Contract) -> dg.AssetChecksDefinition | None:
    """The check of one data set; None for one that is read from a database."""
    if isinstance(contract.source, FileSource):
        return _check_of(contract)
    return _missing_check_of(contract) if isinstance(contract.source, EventHubSource) else None


def _check_of(contract: Contract) -> dg.AssetChecksDefinition:
    key = raw_key(contract)

    @dg.multi_asset_check(
        name=f"{LANDED}__{contract.name}",
        specs=[dg.AssetCheckSpec(LANDED, asset=key, description="The landing folder and its files could be read.")],
    )
    def landed(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        refused, before = _last_two(context.instance, key)
        standing = refused is not None and refused == before and not _BY_ITSELF.isdisjoint(context.run.tags)
        yield from _said(key, refused, news=refused if not standing else None)

    return landed


def _missing_check_of(contract: Contract) -> dg.AssetChecksDefinition:
    key = raw_key(contract)

    @dg.multi_asset_check(
        name=f"{LANDED}__{contract.name}",
        specs=[
            hourly_check(
                LANDED,
                asset=key,
                description="No event is missing: none expired before it landed, and what Capture wrote has no gap.",
            )
        ],
    )
    def landed(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[Evaluated]:
        from dagster_lake.landing.expired import expired_hours

        found = _of_run(context.instance, context.run.run_id, key)
        lacks: dict[str, tuple[str, bool]] = found[LACKS_BY_HOUR].value if LACKS_BY_HOUR in found else {}  # type: ignore[assignment]
        # ``lake stream`` may have landed, and told of, an hour that no run lands again.
        expired = dict.fromkeys(expired_hours(contract, lake.lake, TAKEN_UP_HOURS), (_EXPIRED, False))
        said = {**expired, **lacks}
        run = hours_if_any(context)
        hours = None if run is None else {*run.keys, *said}
        yield from evaluated(context, dg.AssetCheckKey(key, LANDED), hours, partial(_judged, said))
        if news := list(dict.fromkeys(why for why, is_news in lacks.values() if is_news)):
            raise dg.Failure("\n".join(f"raw/{contract.name}: {why}" for why in news), allow_retries=False)

    return landed


_EXPIRED = "events of this hour have expired in the hub before they were landed"


def _judged(said: Mapping[str, tuple[str, bool]], hours: Collection[str] | None) -> dg.AssetCheckResult:
    of = {hour: found for hour, found in said.items() if hours is None or hour in hours}
    is_news = any(news for _, news in of.values())
    return dg.AssetCheckResult(
        passed=not of,
        severity=dg.AssetCheckSeverity.ERROR if is_news else dg.AssetCheckSeverity.WARN,
        description="\n".join(dict.fromkeys(why for why, _ in of.values())) or None,
    )


def _said(key: dg.AssetKey, why: str | None, *, news: str | None) -> Iterator[dg.AssetCheckResult]:
    """The result of a check that fails for ``why``, if at all; then fails the run by ``news``, or warns without any."""
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=LANDED,
        passed=why is None,
        severity=dg.AssetCheckSeverity.WARN if news is None else dg.AssetCheckSeverity.ERROR,
        description=why,
    )
    if news is not None:
        raise dg.Failure(news, allow_retries=False)


def _of_run(instance: dg.DagsterInstance, run: str, key: dg.AssetKey) -> Mapping[str, dg.MetadataValue]:
    """The metadata of what a run materialised of an asset: of a range of hours they are all the same."""
    for entry in instance.all_logs(run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = entry.asset_materialization
        if made is not None and made.asset_key == key:
            return made.metadata
    return {}


def _last_two(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str | None, str | None]:
    """Why the last landing and the one before were refused; None for one that was not, or never was."""
    found = instance.fetch_materializations(key, limit=2).records
    reasons = [
        record.asset_materialization.metadata.get(REFUSED) if record.asset_materialization else None for record in found
    ]
    last, before = (None if reason is None else str(reason.value) for reason in [*reasons, None, None][:2])
    return last, before
