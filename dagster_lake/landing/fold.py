"""Folding: an open hour that is landed every second would soon have more files than its rows are worth.

The newest attempts of about one size become one attempt, as soon as there are ``FOLD_AT`` of them; so an hour keeps a
few dozen, however often it is landed, and a row is written a few times at most. The manifest goes from the small
attempts to the large one in one step. The small ones stay on disk for ``landing.attempt.REPLACED_AGE``: a reader may
have the manifest that names them. An hour that is complete is never folded, so its rows keep their ``_ingested_at``.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.landing.attempt import ROW_GROUP_ROWS, AttemptFolder
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.manifest import (
    Attempt,
    Manifest,
    ManifestError,
    ManifestReplaced,
    landed_files,
    write_manifest,
)
from dagster_lake.storage.paths import local_path

FOLD_AT = 16
_LARGEST = 4  # an attempt of this size, from 65,536 rows on, is large enough


def foldable(manifest: Manifest) -> tuple[Attempt, ...]:
    """The newest attempts that are to become one; none where they are few or large enough.

    The one is larger by an order of magnitude, so that no row is written more often than there are orders.
    """
    for size in range(_LARGEST):
        larger = [place for place, attempt in enumerate(manifest.attempts) if _size(_rows_of(attempt)) > size]
        newest = manifest.attempts[larger[-1] + 1 if larger else 0 :]
        if len(newest) >= FOLD_AT and _size(sum(map(_rows_of, newest))) > size:
            return newest
    return ()


def fold(folder: UPath, manifest: Manifest, schema: pa.Schema, now: datetime) -> Manifest:
    """Makes one attempt of those that are foldable, and publishes it; the manifest as it then is.

    ``folder`` is the partition's, whose files have the columns of ``schema``; the caller holds its lock. Raises
    ManifestError for a file that is not as the manifest has it, and ManifestReplaced as ``write_manifest`` does.
    """
    small = foldable(manifest)
    if not small:
        return manifest
    attempt = AttemptFolder(folder, manifest.next_attempt)
    with commit(f"raw.{manifest.data_set}.fold"):
        attempt.write_parquet("events", schema, _rows(folder, replace(manifest, attempts=small)))
    one = Attempt(manifest.next_attempt, small[-1].landed_at, tuple(attempt.files))
    if _rows_of(one) != sum(map(_rows_of, small)):
        attempt.discard()
        raise ManifestError(
            f"{folder}: {len(small)} attempts hold {_rows_of(one)} rows, but its manifest says "
            f"{sum(map(_rows_of, small))}; restore their files, or move the folder away and land it again"
        )
    names = {file.path.split("/")[0] for attempt in small for file in attempt.files}
    after = replace(
        manifest,
        attempts=(*manifest.attempts[: -len(small)], one),
        replaced={**(manifest.replaced or {}), **dict.fromkeys(sorted(names), now)},
    )
    try:
        write_manifest(folder, after, replacing=manifest)
    except ManifestReplaced:
        attempt.discard()
        raise
    return after


def _rows(folder: UPath, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    for _, _, place in landed_files(folder, manifest):
        with place.open("rb") if is_adls(place) else open(local_path(place), "rb") as opened:
            yield from pq.ParquetFile(opened).iter_batches(ROW_GROUP_ROWS)


def _rows_of(attempt: Attempt) -> int:
    return sum(file.rows for file in attempt.files)


def _size(rows: int) -> int:
    """The order of magnitude: 0 for up to 15 rows, and one more for every 16 times as many."""
    return max(rows.bit_length() - 1, 0) // 4
