"""Imported before anything of Dagster. Its partitions begin with the first hour of the lake in the working folder,
which may be one that `make demo` built some hours ago: for the tests they begin as where there is no lake."""

import os

_named = os.environ.get("LAKE_ROOT")
os.environ["LAKE_ROOT"] = os.devnull + "/no-lake"
import dagster_lake.defs.partitions  # noqa: E402, F401

if _named is None:
    del os.environ["LAKE_ROOT"]
else:
    os.environ["LAKE_ROOT"] = _named
