"""Where Spark keeps how far its streaming queries are. Raw knows what has landed, so that this may be forgotten."""

import shutil
from pathlib import Path

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import Lake


def checkpoint_of(lake: Lake, data_set: str) -> UPath:
    """The folder of the query that lands a data set."""
    return lake.root / "live" / "checkpoints" / data_set


def forget_checkpoint(lake: Lake, data_set: str) -> None:
    """Makes the data set's query begin anew; what it has landed is found to be landed by the events' numbers.

    Killed in between, the query fails as before, or begins somewhere earlier.
    """
    folder = checkpoint_of(lake, data_set)
    with commit(f"live.{data_set}.checkpoint"):
        if is_adls(folder):
            from dagster_lake.storage.adls.blobs import list_blobs, remove_blobs

            remove_blobs(folder, list_blobs(folder))
        else:
            shutil.rmtree(Path(str(folder)), ignore_errors=True)
