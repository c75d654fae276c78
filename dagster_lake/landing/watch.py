"""What a landing folder looks like from outside: enough to notice that it changed, and that nobody is writing."""

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta

from upath import UPath

from dagster_lake.landing.dropped import dropped_files


@dataclass(frozen=True)
class LandingState:
    """``fingerprint`` of the files' names, sizes and times (empty without files), and how long ago one was written."""

    fingerprint: str
    age: timedelta


def landing_state(folder: UPath, file_format: str) -> LandingState:
    """The state of ``folder`` as it stands; only names and times are read."""
    files, _ = dropped_files(folder, file_format)
    if not files:
        return LandingState("", timedelta.max)
    listing = hashlib.sha256()
    for file in files:
        listing.update(f"{file.source}\0{file.stamp.size}\0{file.stamp.modified_ns}{file.stamp.etag}\n".encode())
    newest = max(file.stamp.modified_ns for file in files)
    age = time.time_ns() - newest
    # A time in the future is not somebody writing but a wrong clock; waiting for it could take for ever.
    return LandingState(listing.hexdigest(), timedelta(microseconds=age // 1000) if age >= 0 else timedelta.max)
