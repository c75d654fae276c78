"""Where Dagster's local history of a lake is: in the lake's folder; of a remote lake in the project, by its root.

Two lakes of one checkout are two worlds: what failed in one says nothing of the other.
"""

import hashlib
import logging
from pathlib import Path

from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.storage.marker import HISTORY
from dagster_lake.storage.paths import is_remote

log = logging.getLogger(__name__)


def history_folder(settings: Settings) -> Path:
    """The folder of the lake's history, whether or not it is there."""
    if not is_remote(settings.root):
        return Path(settings.root).absolute() / HISTORY
    name = hashlib.sha256(settings.root.rstrip("/").encode()).hexdigest()[:16]
    return PROJECT_ROOT / HISTORY / name


def earlier_history() -> Path | None:
    """The history that all lakes of the project once shared, where it still lies there."""
    folder = PROJECT_ROOT / HISTORY / "history"
    return folder if folder.is_dir() and not folder.is_symlink() else None


def runs_of(settings: Settings) -> Path:
    """The folder of the databases of runs. The project's own lake takes over what all lakes once shared: with it go
    the switches of its schedules."""
    runs = history_folder(settings) / "history"
    earlier = earlier_history()
    own_lake = Path(settings.root).absolute() == PROJECT_ROOT / ".lake"
    if own_lake and earlier is not None and earlier != runs and not runs.exists():
        try:
            runs.parent.mkdir(parents=True, exist_ok=True)
            earlier.rename(runs)
        except FileNotFoundError:
            pass  # another process has just moved it
        except OSError as error:
            log.warning("%s could not be moved to %s (%s): move it by hand to keep it", earlier, runs, error)
    return runs
