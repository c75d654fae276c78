"""``lake reset`` of a lake in ADLS Gen2."""

from typing import TYPE_CHECKING

from dagster_lake.cli.reset.local import FOLDERS, MARKER, remove_path
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.cli.shared.text import path_text, size_text
from dagster_lake.operations.instance.place import history_folder
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from rich.console import Console

    from dagster_lake.storage.adls.blobs import Blob


def reset_remote(settings: Settings, console: "Console", *, yes: bool) -> None:
    """Removes what the lake is made of, its marker last, after showing what goes.

    Raises CommandError without ``yes``, where there is no lake, and for one that fills its container.
    """
    from dagster_lake.storage.adls.blobs import list_blobs, remove_blobs

    lake = Lake.placed(settings)
    if not lake.root.path.strip("/").partition("/")[2]:
        raise CommandError(
            f"{lake.root} is a whole container, which `lake reset` leaves alone; remove it with Azure's own tools"
        )
    if not lake.exists():
        raise CommandError(f"{lake.root} is not a lake (it has no {MARKER}), so nothing was removed")
    parts: dict[str, list[Blob]] = {}
    for blob in list_blobs(lake.root):
        parts.setdefault(str(blob.path).removeprefix(f"{lake.root}/").split("/")[0], []).append(blob)
    console.print("This removes:")
    for name in sorted({*FOLDERS, MARKER} & parts.keys()):
        size = size_text(sum(blob.size for blob in parts[name]))
        console.print(f"  {lake.root}/{name}  [dim]{len(parts[name])} files, {size}[/]", soft_wrap=True)
    for name in sorted(parts.keys() - {*FOLDERS, MARKER}):
        console.print(f"[yellow]Stays, because it is no part of a lake:[/] {lake.root}/{name}", soft_wrap=True)
    history = history_folder(settings)
    if history.is_dir():
        console.print(f"  {path_text(history)}  [dim]its history of runs, on this machine[/]", soft_wrap=True)
    if not yes:
        raise CommandError("others may be reading this lake, so nothing was removed; to remove it: lake reset --yes")
    for name in sorted({*FOLDERS} & parts.keys()):
        remove_blobs(lake.root, parts[name])
    if history.is_dir():
        remove_path(history)
    remove_blobs(lake.root, parts[MARKER])
    console.print(f"Removed. The embedded sources in {lake.sources} stay; remove them by hand for a new world.")
