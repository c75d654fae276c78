"""The checks of ``lake doctor`` for a lake in ADLS Gen2: each tries what a run does, and leaves nothing behind."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.errors import StorageError, sas_expiry
from dagster_lake.storage.adls.options import AzureSettingsError, credential_setting, require_libraries
from dagster_lake.storage.adls.path import AddressError
from dagster_lake.storage.paths import FORMAT_VERSION, Lake, LakeFormatError

SKEW = timedelta(minutes=2)
SOON = timedelta(days=1)


def azure_findings(settings: Settings) -> list[Finding]:
    """Address, access, conditional writes, clock and format; what cannot be tried after a failure is left out."""
    try:
        require_libraries()
        lake = Lake.placed(settings)
    except (AddressError, AzureSettingsError) as error:
        return [Finding("fail", "ADLS", str(error), "do what it says; docs/adls.md has every setting")]
    access = accessible(lake)
    if access.level == "fail":
        return [access]
    return [access, signature(lake, datetime.now(UTC)), clock(lake), conditional_write(lake), lake_format(lake)]


def accessible(lake: Lake) -> Finding:
    """Whether the credential lets us in and the container is there."""
    try:
        lake.exists()
    except StorageError as error:
        return Finding("fail", "ADLS", str(error), "correct it and run `lake doctor` again; see docs/adls.md")
    return Finding("ok", "ADLS", f"{lake.root} can be reached by {credential_setting(lake.root)}")


def signature(lake: Lake, now: datetime) -> Finding:
    """Whether a shared access signature will last."""
    expiry = sas_expiry(lake.root)
    if expiry is None:
        return Finding("ok", "signature", "none in use")
    says = f"LAKE_AZURE_SAS is good until {expiry:%Y-%m-%d %H:%M} UTC"
    return (
        Finding("warn", "signature", says, "make a new one")
        if expiry - now < SOON
        else Finding("ok", "signature", says)
    )


def clock(lake: Lake) -> Finding:
    """Whether this machine's clock agrees with the storage's: hours are closed by it, and signatures are dated."""
    from dagster_lake.storage.adls.blobs import server_date

    said = server_date(lake.marker)
    if said is None:
        return Finding("warn", "clock", "the storage did not tell its time", "check this machine's clock yourself")
    skew = abs(datetime.now(UTC) - parsedate_to_datetime(said))
    says = f"differs from the storage's by {skew.total_seconds():.0f} s"
    if skew > SKEW:
        return Finding("warn", "clock", says, "set the clock (timedatectl set-ntp true)")
    return Finding("ok", "clock", says)


def conditional_write(lake: Lake) -> Finding:
    """Whether a blob can be written, only where there is none, and removed: what publishing raw and Delta rest on."""
    from dagster_lake.storage.adls.blobs import BlobChanged, list_blobs, probe_name, put_blob, remove_blobs

    probe = lake.root / probe_name()
    folder = probe / "blob"
    try:
        put_blob(folder, b"1", replacing=None)
        try:
            put_blob(folder, b"2", replacing=None)
        except BlobChanged:
            return Finding("ok", "conditional write", "the second of two writers is refused, as it must be")
        finally:
            remove_blobs(probe, list_blobs(probe))
    except StorageError as error:
        return Finding("fail", "conditional write", str(error), "see the roles in docs/adls.md")
    remedy = "use another storage: two runs at once could lose rows here"
    return Finding("fail", "conditional write", "the storage ignores If-None-Match", remedy)


def lake_format(lake: Lake) -> Finding:
    """Whether this version reads the lake that is there."""
    if not lake.exists():
        return Finding("ok", "lake format", "no lake yet; build one with `lake demo`")
    try:
        lake.check_format()
    except LakeFormatError as error:
        return Finding("fail", "lake format", str(error), "see `lake reset --help`")
    return Finding("ok", "lake format", f"version {FORMAT_VERSION}")
