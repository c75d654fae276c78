"""Pages for people: written whole, so that a reader sees the old page or the new one."""

from upath import UPath

from dagster_lake.storage.adls_path import is_adls
from dagster_lake.storage.paths import local_path


def publish(file: UPath, text: str) -> None:
    """Writes ``text`` to ``file``; its folder is made when absent."""
    if is_adls(file):
        from dagster_lake.storage.blobs import upload_blob

        upload_blob(file, text.encode(), {})
        return
    place = local_path(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f"{place.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(place)
