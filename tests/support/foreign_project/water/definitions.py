"""What Dagster sees of the project: everything below defs/."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """The lake, and the project's own assets beside it."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
