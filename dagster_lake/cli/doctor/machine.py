"""The checks of ``lake doctor``, each a small function from what it looks at to one finding."""

import json
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

from dagster_lake.cli.doctor.adls import azure_findings
from dagster_lake.cli.doctor.alerts import all_alert_findings
from dagster_lake.cli.doctor.databricks import databricks_findings
from dagster_lake.cli.doctor.event_hub import event_hub_findings
from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.cli.doctor.sinks import sink_findings
from dagster_lake.cli.doctor.spark import spark_findings
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.cli.shared.text import path_text
from dagster_lake.operations.instance.place import earlier_history, history_folder
from dagster_lake.privacy.masking_keys import registered
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.storage.paths import FORMAT_VERSION, Lake, LakeFormatError, is_remote

UI_PORT = 3000
PYTHONS = ((3, 11), (3, 13))
LITTLE_SPACE = 5_000_000_000
TOO_LITTLE_SPACE = 1_000_000_000
LEFTOVER_AGE = timedelta(hours=1)
_NAMED = 4
_TOOLS = ("pip", "setuptools", "wheel")  # venv's own, whatever version Python brought


def findings(settings: Settings) -> list[Finding]:
    """Every check, in the order in which problems should be solved."""
    everywhere: list[Callable[[], Finding]] = [
        lambda: python_version((sys.version_info.major, sys.version_info.minor)),
        lambda: packages(constraints_file(), _installed()),
        lambda: port(UI_PORT),
        lambda: dagster_home(os.environ.get("DAGSTER_HOME"), history_folder(settings)),
        lambda: masking_key_present(settings),
    ]
    if earlier := earlier_history():
        everywhere.append(lambda: shared_history(settings, earlier))
    root = Path(settings.root)
    local: list[Callable[[], Finding]] = [
        lambda: disk_space(root, shutil.disk_usage(nearest_folder(root)).free),
        lambda: writable(root),
        lambda: lake_format(root),
        lambda: clock(root, datetime.now(UTC)),
        lambda: leftovers(root, datetime.now(UTC)),
    ]
    place = azure_findings(settings) if is_remote(settings.root) else [check() for check in local]
    engine = [*spark_findings(settings), *databricks_findings(settings)]
    return [
        *(check() for check in everywhere),
        *place,
        *event_hub_findings(settings),
        *engine,
        *all_alert_findings(settings),
        *sink_findings(settings),
    ]


def refuse_unfit(settings: Settings) -> None:
    """Raises CommandError, with the remedy, where nothing could be built: what a run would find out step by step."""
    root = Path(settings.root)
    checks = [
        lambda: dagster_home(os.environ.get("DAGSTER_HOME"), history_folder(settings)),
        lambda: masking_key_present(settings),
    ]
    if not is_remote(settings.root):
        checks += [
            lambda: writable(root),
            lambda: disk_space(root, shutil.disk_usage(nearest_folder(root)).free),
        ]
    for check in checks:
        found = check()
        if found.level == "fail":
            raise CommandError(f"{found.subject}: {found.says}; {found.remedy}. `lake doctor` checks everything")


def python_version(version: tuple[int, int]) -> Finding:
    """Whether this Python is one that the pins were made for."""
    says = f"{version[0]}.{version[1]}"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        return Finding("ok", "Python", says)
    return Finding("fail", "Python", says, "use 3.11, 3.12 or 3.13: `make demo PYTHON=python3.12`")


def constraints_file() -> Path:
    """The pins for this Python."""
    return PROJECT_ROOT / "constraints" / f"py{sys.version_info.major}{sys.version_info.minor}.txt"


def packages(pins: Path, installed: dict[str, str]) -> Finding:
    """Whether what is installed is what was tested together."""
    if not pins.exists():
        return Finding("ok", "packages", "no constraints file here to compare with")
    pinned = dict(line.split("==") for line in pins.read_text().split() if "==" in line)
    installed = {name: version for name, version in installed.items() if name not in _TOOLS}
    differing = [f"{n} {installed[n]} (pinned {v})" for n, v in pinned.items() if installed.get(n, v) != v]
    missing = [name for name in _required() if name not in installed]
    remedy = "run `make demo` (or `make test`), which installs the pins again; else remove .venv first"
    if missing:
        return Finding("fail", "packages", f"missing: {_some(missing)}", remedy)
    if differing:
        return Finding("warn", "packages", f"not at the pinned version: {_some(differing)}", remedy)
    return Finding("ok", "packages", f"{sum(n in installed for n in pinned)} installed, all at {pins.name}'s versions")


def port(number: int) -> Finding:
    """Whether the UI's port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        taken = probe.connect_ex(("127.0.0.1", number)) == 0
    if taken:
        remedy = f"if that is not your own `make dev`, take another port: make dev PORT={number + 1}"
        return Finding("warn", f"port {number}", "in use", remedy)
    return Finding("ok", f"port {number}", "free for Dagster's UI")


def dagster_home(home: str | None, history: Path) -> Finding:
    """Whether Dagster will find the project's dagster.yaml; with that, ``history`` is where the lake's runs are."""
    if home is None:
        return Finding("ok", "Dagster", f"DAGSTER_HOME is not set; history is kept in {path_text(history)}")
    if not os.path.isabs(home) or not os.path.isdir(home):
        says = f"DAGSTER_HOME={home} is not an absolute path to a folder"
        return Finding("fail", "Dagster", says, "unset DAGSTER_HOME, or mend it")
    if not os.path.exists(os.path.join(home, "dagster.yaml")):
        remedy = f"unset DAGSTER_HOME, or set it to {PROJECT_ROOT}"
        return Finding("warn", "Dagster", f"DAGSTER_HOME={home} has no dagster.yaml", remedy)
    return Finding("ok", "Dagster", f"DAGSTER_HOME is {home}")


def shared_history(settings: Settings, earlier: Path) -> Finding:
    """The history that all lakes of the project once shared, which still lies there."""
    own = history_folder(settings) / "history"
    says = f"{path_text(earlier)} is of before each lake had its own, and nobody reads it"
    remedy = "remove it" if own.exists() else f"to keep it for this lake: mv {earlier} {own}; else remove it"
    return Finding("warn", "history", says, remedy)


def masking_key_present(settings: Settings) -> Finding:
    """Whether personal data can be masked, by a key that nobody else reads."""
    if settings.pii_key is not None:
        size = len(settings.pii_key.get_secret_value().encode())
        if not 32 <= size <= 64:
            return Finding("fail", "masking key", f"LAKE_PII_KEY has {size} bytes", "give it 32 to 64 bytes")
        if settings.pii_key_id is None:
            return Finding("fail", "masking key", "LAKE_PII_KEY has no name", "set LAKE_PII_KEY_ID")
        return Finding("ok", "masking key", f"from LAKE_PII_KEY, id {settings.pii_key_id}")
    if is_remote(settings.root):
        remedy = "set LAKE_PII_KEY (32 to 64 bytes) and LAKE_PII_KEY_ID"
        return Finding("fail", "masking key", "a remote lake must be given its key", remedy)
    file = Lake.placed(settings).sources / "pii.key"
    if not file.exists():
        try:
            used = registered(Lake.placed(settings))
        except LakeFormatError:  # the lake's own line says so
            return Finding(
                "warn", "masking key", f"there is no {file}, and lake.json does not say whether one was used"
            )
        if used:
            remedy = "bring it back from a copy, or run `lake keys accept` (docs/operations.md)"
            return Finding("fail", "masking key", f"{file} is gone, the key that values are masked by", remedy)
        return Finding("ok", "masking key", "made with the first lake")
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        return Finding("warn", "masking key", f"{file} is readable by others", f"chmod 600 {file}")
    return Finding("ok", "masking key", path_text(file))


def disk_space(root: Path, free: int) -> Finding:
    """Whether the lake has room to grow."""
    says = f"{free / 1e9:.1f} GB free for {path_text(root)}"
    if free < TOO_LITTLE_SPACE:
        return Finding("fail", "disk", says, "make room, or put the lake elsewhere with --lake or LAKE_ROOT")
    if free < LITTLE_SPACE:
        return Finding("warn", "disk", says, "enough for the demo; make room before building more")
    return Finding("ok", "disk", says)


def writable(root: Path) -> Finding:
    """Whether the lake's folder, or the one it would be made in, can be written to."""
    folder = nearest_folder(root)
    try:
        with tempfile.TemporaryDirectory(prefix=".lake-probe-", dir=folder):
            pass
    except OSError as error:
        remedy = "make it yours (chown), make room, or use another with --lake or LAKE_ROOT"
        return Finding("fail", "lake folder", f"{folder} cannot be written ({error.strerror or error})", remedy)
    return Finding("ok", "lake folder", f"{path_text(root)} " + ("can be written" if root.exists() else "can be made"))


def lake_format(root: Path) -> Finding:
    """Whether this version reads the lake that is there."""
    marker = root / "lake.json"
    if not marker.exists():
        return Finding("ok", "lake format", "no lake yet; build one with `lake demo`")
    try:
        found = json.loads(marker.read_text())["format_version"]
    except (ValueError, KeyError, TypeError):
        remedy = f'if this is a lake of this version, write {{"format_version": {FORMAT_VERSION}}} into it'
        return Finding("fail", "lake format", f"{marker} is damaged", remedy)
    if found == FORMAT_VERSION:
        return Finding("ok", "lake format", f"version {found}")
    older = (isinstance(found, int) and found < FORMAT_VERSION) or str(found).endswith(f" to {FORMAT_VERSION}")
    remedy = (
        "`lake upgrade` brings it to that (--dry-run: says what it would do)"
        if older
        else "update the project (git pull), or use another folder with --lake"
    )
    says = f"{'older' if older else 'newer'}: version {found}, and this project reads {FORMAT_VERSION}"
    return Finding("fail", "lake format", says, remedy)


def clock(root: Path, now: datetime) -> Finding:
    """Whether the clock is plausible: hours are closed by it, so a wrong one closes the wrong hours."""
    newest = max((datetime.fromtimestamp(f.stat().st_mtime, UTC) for f in _logs(root)), default=None)
    says = f"{now:%Y-%m-%d %H:%M} UTC"
    if newest is not None and newest > now + timedelta(minutes=5):
        says += f", but the lake was written at {newest:%Y-%m-%d %H:%M}"
        return Finding("warn", "clock", says, "set the clock (timedatectl set-ntp true)")
    return Finding("ok", "clock", says)


def leftovers(root: Path, now: datetime) -> Finding:
    """Whether a run that was killed left temporary files behind; the next run of its partition removes them."""
    old = [f for f in _temporary(root) if now - datetime.fromtimestamp(f.lstat().st_mtime, UTC) > LEFTOVER_AGE]
    if not old:
        return Finding("ok", "leftovers", "none")
    says = f"{len(old)} temporary files of runs that were killed: {_some([str(f) for f in old])}"
    return Finding("warn", "leftovers", says, "materialise their partition again, or remove them when nothing runs")


def nearest_folder(path: Path) -> Path:
    """``path`` itself where it exists, else the nearest folder above it."""
    while not path.exists():
        path = path.parent
    return path


def _installed() -> dict[str, str]:
    return {_plain(d.metadata["Name"]): d.version for d in metadata.distributions()}


def _required() -> list[str]:
    """What the project needs, without its extras."""
    try:
        wanted = metadata.requires("dagster-lake") or []
    except metadata.PackageNotFoundError:
        return ["dagster-lake"]
    names = (re.match(r"[\w.-]+", line) for line in wanted if "extra ==" not in line)
    return [_plain(name[0]) for name in names if name]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _logs(root: Path) -> Iterator[Path]:
    return root.glob("**/_delta_log") if root.exists() else iter(())


def _temporary(root: Path) -> Iterator[Path]:
    return (f for f in root.rglob("*.tmp") if f.is_file()) if root.exists() else iter(())
