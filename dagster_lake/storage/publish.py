"""Files for people and other systems: written whole, so that a reader sees the old one or the new one."""

from upath import UPath

from dagster_lake.storage.adls_path import is_adls
from dagster_lake.storage.paths import local_path


def publish(file: UPath, text: str) -> None:
    """Writes ``text`` to ``file``; its folder is made when absent."""
    publish_bytes(file, text.encode())


def publish_bytes(file: UPath, content: bytes) -> None:
    """As ``publish``."""
    if is_adls(file):
        from dagster_lake.storage.blobs import upload_blob

        upload_blob(file, content, {})
        return
    place = local_path(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f"{place.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(place)
