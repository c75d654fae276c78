"""The few things that fsspec does not offer of a blob store: conditional writes and reads, and one-request reads.

A blob's etag changes with each write, so a condition on it makes check and replacement one step without any lock.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
from typing import Any, TypeVar

from fsspec.asyn import sync
from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.storage.adls.errors import reaching

_AT_ONCE = 64
_Result = TypeVar("_Result")


class BlobChanged(LakeError):
    """The blob is not the one that a condition named; it has changed, has come or has gone."""


@dataclass(frozen=True)
class Blob:
    """One blob as a listing shows it: its path, size, etag, modification time, and what its writer noted of it."""

    path: UPath
    size: int
    etag: str
    modified: datetime
    notes: dict[str, str]


def read_blob(path: UPath, most: int | None = None, *, patient: bool = True) -> tuple[bytes, int, str] | None:
    """The first ``most`` bytes (None: all), the whole size and the etag, in one request; None when there is no blob.

    A storage that does not answer is tried for a minute, unless the caller is not ``patient``.
    """
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

    retries: dict[str, int] = {} if patient else {"retry_connect": 0}

    async def read() -> tuple[bytes, int, str] | None:
        try:
            found = await _client(path).download_blob(offset=None if most is None else 0, length=most, **retries)
        except ResourceNotFoundError as error:
            if _has_no_container(error):
                raise
            return None
        except HttpResponseError as error:
            if error.status_code == 416:  # an empty blob has no first bytes
                return b"", 0, str((await _client(path).get_blob_properties()).etag)
            raise
        return await found.readall(), _whole_size(found), found.properties.etag

    return _wait(path, read())


def etag_of(path: UPath) -> str | None:
    """The blob's etag; None when there is no such blob."""
    from azure.core.exceptions import ResourceNotFoundError

    async def look() -> str | None:
        try:
            return str((await _client(path).get_blob_properties()).etag)
        except ResourceNotFoundError:
            return None

    return _wait(path, look())


def look_at(path: UPath) -> Blob | None:
    """The blob as a listing shows it; None when there is no such blob."""
    from azure.core.exceptions import ResourceNotFoundError

    async def look() -> Blob | None:
        try:
            found = await _client(path).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return Blob(path, found.size, found.etag, found.last_modified, dict(found.metadata or {}))

    return _wait(path, look())


def put_blob(path: UPath, content: bytes, *, replacing: str | None) -> None:
    """Writes the blob, provided that it still has the etag ``replacing`` (None: that there is none).

    Raises BlobChanged otherwise; then nothing is written.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

    condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
    if replacing is not None:
        condition = {"match_condition": MatchConditions.IfNotModified, "etag": replacing}

    async def put() -> None:
        try:
            # overwrite=True, because False would add a condition of its own; ours is the one that counts.
            await _client(path).upload_blob(content, overwrite=True, **condition)
        except (ResourceExistsError, ResourceModifiedError) as error:
            raise BlobChanged(f"{path} was written by somebody else") from error
        except ResourceNotFoundError as error:
            if _has_no_container(error):
                raise
            raise BlobChanged(f"{path} went away") from error

    try:
        _wait(path, put())
    except BlobChanged:
        # The client repeats a request whose answer got lost; the first one may have been the one that counted.
        found = read_blob(path)
        if found is None or found[0] != content:
            raise


def upload_blob(path: UPath, content: bytes, notes: dict[str, str]) -> None:
    """Writes the blob, whatever was there, with ``notes`` as its metadata."""

    async def put() -> None:
        await _client(path).upload_blob(content, overwrite=True, metadata=notes)

    _wait(path, put())


def copy_blob(path: UPath, to: UPath) -> None:
    """Copies a blob, block by block, to another of the same account; ``to`` appears when it is whole."""

    async def parts() -> AsyncIterator[bytes]:
        found = await _client(path).download_blob()
        async for part in found.chunks():
            yield part

    async def put() -> None:
        await _client(to).upload_blob(parts(), overwrite=True)

    _wait(path, put())


def list_blobs(folder: UPath, beginning: str = "") -> list[Blob]:
    """Every blob whose path below ``folder`` starts with ``beginning``, by name; one request for 5,000 of them."""
    with reaching(folder):
        found = folder.fs.find(folder.path, detail=True, prefix=beginning)
    root = folder.path.rstrip("/") + "/"
    return [
        Blob(folder / name.removeprefix(root), entry["size"], entry["etag"], entry["last_modified"], _notes(entry))
        for name, entry in sorted(found.items())
        if name.startswith(root) and entry["type"] == "file" and not _is_folder(entry)
    ]


def remove_blobs(folder: UPath, blobs: list[Blob]) -> None:
    """Removes the blobs, all below ``folder``; one that is gone already is no error."""
    from azure.core.exceptions import ResourceNotFoundError

    async def remove(blob: Blob) -> None:
        with suppress(ResourceNotFoundError):
            await _client(blob.path).delete_blob()

    async def remove_all() -> None:
        for first in range(0, len(blobs), _AT_ONCE):
            await asyncio.gather(*(remove(blob) for blob in blobs[first : first + _AT_ONCE]))

    _wait(folder, remove_all())


def remove_blob(path: UPath) -> None:
    """Removes one blob; one that is gone already is no error."""
    from azure.core.exceptions import ResourceNotFoundError

    with suppress(ResourceNotFoundError):
        _wait(path, _client(path).delete_blob())


def server_date(path: UPath) -> str | None:
    """The Date of the storage's answer, as HTTP writes it."""
    answered: dict[str, str] = {}

    async def ask() -> None:
        await _client(path).exists(raw_response_hook=lambda response: answered.update(response.http_response.headers))

    _wait(path, ask())
    return next((value for name, value in answered.items() if name.lower() == "date"), None)


def probe_name() -> str:
    """A name that nothing else has, for a blob that is removed again; readers leave it alone."""
    return f"_probe-{uuid.uuid4().hex}"


class UnchangedBlob(RawIOBase):
    """A blob read from beginning to end, whose etag stays ``etag``; raises BlobChanged when it does not."""

    def __init__(self, path: UPath, etag: str) -> None:
        self._path = path
        self._chunks = _chunks(path, etag)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills ``buffer`` as far as the next chunk goes; 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)


def _chunks(path: UPath, etag: str) -> Iterator[bytes]:
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError

    async def start() -> AsyncIterator[bytes]:
        found = await _client(path).download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        return found.chunks()

    async def following(chunks: AsyncIterator[bytes]) -> bytes | None:
        return await anext(chunks, None)

    try:
        chunks = _wait(path, start())
        while (chunk := _wait(path, following(chunks))) is not None:
            yield chunk
    except HttpResponseError as error:
        if error.status_code in (404, 412):
            raise BlobChanged(f"{path} is no longer what it was") from error
        raise


def _client(path: UPath) -> Any:
    container, _, key = path.path.partition("/")
    return path.fs.service_client.get_blob_client(container, key)


def _wait(path: UPath, work: Coroutine[Any, Any, _Result]) -> _Result:
    with reaching(path):
        return sync(path.fs.loop, lambda: work)


def _has_no_container(error: Exception) -> bool:
    return getattr(error, "error_code", None) == "ContainerNotFound"


def _whole_size(download: Any) -> int:
    properties = download.properties
    told = properties.get("content_range") or ""
    return int(told.rpartition("/")[2]) if "/" in told else int(properties.size)


def _is_folder(entry: dict[str, Any]) -> bool:
    """Whether it is what an account with a hierarchical namespace shows of a folder."""
    return _notes(entry).get("hdi_isfolder") == "true"


def _notes(entry: dict[str, Any]) -> dict[str, str]:
    return dict(entry.get("metadata") or {})
