"""The wheel that runs on Databricks: this very package, with nothing that it requires."""

import base64
import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dagster_lake
from dagster_lake.databricks.compute import ENTRY_POINT, PACKAGE

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Wheel:
    """A wheel by its file name, which carries a hash of its content."""

    name: str
    content: bytes


@cache
def remote_wheel() -> Wheel:
    """The wheel of the package as it is installed or checked out here, contracts included.

    Databricks installs a wheel with all that it requires, and takes no ``--no-deps``. So this one requires nothing, and
    a submission names the few packages that a step imports. Its version carries the content's hash: changed code has
    another name, and no cluster takes an old copy for it.
    """
    folder = Path(dagster_lake.__file__).parent
    files = {
        f"{PACKAGE}/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not _left_out(file.relative_to(folder))
    }
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}:{len(content)}:".encode() + content)
    number = f"{_version()}+lake.{digest.hexdigest()[:12]}"
    info = f"{PACKAGE}-{number}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: dagster-lake\nVersion: {number}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: dagster_lake\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    starts = f"{ENTRY_POINT} = {PACKAGE}.databricks.remote.__main__:main"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{starts}\n".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    return Wheel(f"{PACKAGE}-{number}-py3-none-any.whl", _zipped(files))


def _left_out(file: Path) -> bool:
    return "__pycache__" in file.parts or file.parts[0] == "dbt_project"


def _version() -> str:
    try:
        return version("dagster-lake")
    except PackageNotFoundError:
        return "0"


def _record(files: dict[str, bytes], record: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(content)])
    rows.writerow([record, "", ""])
    return text.getvalue().encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
