"""Snapshots written as files: users and VIPs as JSON lines, products as one JSON file each."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from generators import products, users, vip_users
from generators.catalog import TextDataSet
from generators.columns import chunks, join, text_bytes
from generators.dials import Dirt
from generators.lines import INVALID, MALFORMED, lines_of
from generators.world import World

FILES_PER_FOLDER = 1_000

_BATCH = 32_768
_SUFFIX = {MALFORMED: ".malformed", INVALID: ".invalid"}

OnRows = Callable[[int], None]
"""Told how many more clean rows have been written."""


def write_users(world: World, folder: Path, dirt: Dirt) -> int:
    """Write all users to folder/users.jsonl, replacing it whole. Returns the lines written, dirt included."""
    return write_lines(world, users, range(world.users), folder / "users.jsonl", dirt)


def write_vip_users(world: World, folder: Path, dirt: Dirt) -> int:
    """Write all VIPs to folder/vip_users.jsonl, replacing it whole. Returns the lines written, dirt included."""
    return write_lines(world, vip_users, range(world.vip_users), folder / "vip_users.jsonl", dirt)


def write_products(world: World, folder: Path, dirt: Dirt) -> int:
    """Write every product to folder/<id // 1000, six digits>/<id>.json. Returns the files written, dirt included.

    Dirt adds <id>.malformed.json and <id>.invalid.json. Files of an earlier run are replaced one by one, never removed:
    a smaller or cleaner snapshot needs a fresh folder.
    """
    return write_product_files(world, range(world.products), folder, dirt)


def write_lines(
    world: World, source: TextDataSet, rows: range, path: Path, dirt: Dirt, on_rows: OnRows = lambda _: None
) -> int:
    """Write the JSON lines of some rows to one file, which appears only when complete. Returns the lines written."""
    written = 0
    with replacing(path) as file:
        for batch in chunks(rows.start, rows.stop, _BATCH):
            text = join(lines_of(world, source, batch, dirt).text, "\n")
            file.write(text_bytes(text)[1].data)
            written += len(text)
            on_rows(len(batch))
    return written


def write_product_files(world: World, rows: range, folder: Path, dirt: Dirt, on_rows: OnRows = lambda _: None) -> int:
    """Write some products as one file each, every file appearing only when complete. Returns the files written."""
    written = 0
    for batch in chunks(rows.start, rows.stop, FILES_PER_FOLDER):
        for shard in {int(batch[0]) // FILES_PER_FOLDER, int(batch[-1]) // FILES_PER_FOLDER}:
            (folder / f"{shard:06d}").mkdir(parents=True, exist_ok=True)
        lines = lines_of(world, products, batch, dirt)
        ends, content = text_bytes(lines.text)
        starts = ends.tolist()
        for at, (row, kind) in enumerate(zip(lines.rows.tolist(), lines.kinds.tolist(), strict=True)):
            path = f"{folder}/{row // FILES_PER_FOLDER:06d}/{row}{_SUFFIX.get(kind, '')}.json"
            _write_small(path, content[starts[at] : starts[at + 1]].data)
        written += len(lines.text)
        on_rows(len(batch))
    return written


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block succeeds and leaves nothing behind when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_small(path: str, body: memoryview) -> None:
    # Plain system calls: a hundred thousand files are mostly open, write, close and rename.
    temporary = f"{path}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(handle, body)
    finally:
        os.close(handle)
    os.replace(temporary, path)
