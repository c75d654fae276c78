"""The landing by Auto Loader as Dagster sees it: the bundle's job is run, and raw's manifests say what it landed."""

import hashlib
from collections.abc import Callable, Iterable

from dagster_lake import clock
from dagster_lake.contract.model import Contract, DatabaseSource
from dagster_lake.databricks.jobs import JobsWorkspace
from dagster_lake.engines.made import note_unmade
from dagster_lake.lake_hour import HOUR, HourRange, hour_of
from dagster_lake.landing.gaps import with_gaps
from dagster_lake.landing.land import partitions
from dagster_lake.landing.result import Landed, LandingError
from dagster_lake.landing.zone import require_one_zone
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.manifest import Manifest, read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.unfinished import TAKEN_UP_HOURS


def lands_by_auto_loader(contract: Contract, settings: Settings) -> bool:
    """Whether the settings have Auto Loader land the data set; tables of a database are always copied.

    Raises LandingError where it is asked for without Databricks.
    """
    if settings.landing == "copy" or isinstance(contract.source, DatabaseSource):
        return False
    if settings.engine != "databricks":
        raise LandingError(
            "LAKE_LANDING=auto_loader needs LAKE_ENGINE=databricks, where Auto Loader is; or set LAKE_LANDING=copy"
        )
    return True


def land_by_auto_loader(
    contract: Contract,
    lake: Lake,
    settings: Settings,
    hours: Iterable[str] | None,
    attempt: str,
    say: Callable[[str], None],
) -> list[Landed]:
    """Runs the job for the data set, and gives what raw then holds of ``hours``, or the newest snapshot for None.

    The job lands whatever has come, also of other hours; those of the last two days are noted as unfinished, for the
    hourly schedule. ``attempt`` names this attempt of the Dagster step: it never starts a second run. Raises
    LandingError when Capture has not written an hour yet; JobRunError or WorkspaceError when the job does not do.
    """
    require_one_zone(contract, lake)
    before = _held(contract, lake, hours)
    workspace = JobsWorkspace(settings.databricks)
    what = f"Auto Loader's landing of {contract.name}"
    token = hashlib.sha256(f"{attempt} {contract.name}".encode()).hexdigest()
    minutes = settings.databricks.timeout_minutes
    job = workspace.job_id(settings.landing_job)
    workspace.run_to_end(what, job, {"data_set": contract.name}, token, minutes, say)
    if hours is not None:
        # Not by the job, which sees raw alone.
        open_hour = hour_of(clock.utc_now())
        note_unmade(lake, contract, HourRange(open_hour - TAKEN_UP_HOURS * HOUR, open_hour).keys)
    after = _held(contract, lake, hours)
    missing = [key for key, manifest in after.items() if manifest is None]
    if hours is None and not after:
        nothing = (
            f"Auto Loader has landed nothing yet of {lake.landing(contract.name)}; its run in the workspace says why"
        )
        return [Landed.of(None, changed=False, warnings=(nothing,))]
    if missing:
        raise LandingError(
            f"{contract.name}: nothing landed of {', '.join(missing)}: Auto Loader has found no "
            "file of it. Capture writes an hour's last file up to 15 minutes after its end; run again then, or look "
            "whether files arrive in the landing volume at all"
        )
    return [
        with_gaps(contract, Landed.of(manifest, changed=manifest != before.get(key)), manifest, before.get(key))
        for key, manifest in after.items()
        if manifest is not None
    ]


def _held(contract: Contract, lake: Lake, hours: Iterable[str] | None) -> dict[str, Manifest | None]:
    keys = partitions(lake, contract)[-1:] if hours is None else list(hours)
    raw = lake.raw(contract.name, sensitive=contract.sensitive)
    return {key: read_manifest(raw / key) for key in keys}
