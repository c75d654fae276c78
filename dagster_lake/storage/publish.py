"""Files for people and other systems: written whole, so that a reader sees the old one or the new one."""

import uuid

from upath import UPath

from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import local_path


def publish(file: UPath, text: str) -> None:
    """Writes ``text`` to ``file``; its folder is made when absent."""
    publish_bytes(file, text.encode())


def publish_bytes(file: UPath, content: bytes) -> None:
    """As ``publish``."""
    if is_adls(file):
        from dagster_lake.storage.adls.blobs import upload_blob

        upload_blob(file, content, {})
        return
    place = local_path(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_bytes(content)
    temporary.replace(place)


def published(file: UPath) -> bytes | None:
    """What was published there; None when nothing was."""
    if is_adls(file):
        from dagster_lake.storage.adls.blobs import read_blob

        found = read_blob(file)
        return None if found is None else found[0]
    try:
        return local_path(file).read_bytes()
    except FileNotFoundError:
        return None


def withdraw(file: UPath) -> None:
    """Removes what was published there, if anything was."""
    if is_adls(file):
        from dagster_lake.storage.adls.blobs import remove_blob

        remove_blob(file)
        return
    local_path(file).unlink(missing_ok=True)
