"""Makes a local Python look like a Databricks task's: no Dagster, dbt, DuckDB or delta-rs, and volumes at /Volumes.

Python imports this file at start, from the PYTHONPATH that tests/azure/fake_databricks.py gives to a task.
"""

import builtins
import importlib.util
import io
import os
import shutil
import signal
import sys
import threading

ABSENT = {"dagster", "dbt", "duckdb", "deltalake", "adlfs", "azure", "faker", "generators"}


class _Absent:
    """Finds none of what a cluster has not got."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} (not installed on Databricks)", name=name)
        return None


def _mounted(function):
    """``function`` with its first path below /Volumes led to the folder that stands in for the volumes."""

    def called(path, *args, **kwargs):
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith("/Volumes/"):
            path = os.environ["FAKE_VOLUMES"] + os.fspath(path)[len("/Volumes") :]
        return function(path, *args, **kwargs)

    return called


def _die_at(point, seconds):
    """Kills this process a moment after it announced a commit; once, over all processes that have the same marker."""
    from dagster_lake import commit

    marker = os.environ["FAKE_KILLED"]

    def observe(announced):
        if announced == point and not os.path.exists(marker):
            open(marker, "w").close()
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

    commit.observe(observe)


if "FAKE_VOLUMES" in os.environ:
    sys.meta_path.insert(0, _Absent())
    builtins.open = io.open = _mounted(open)
    os.listdir = _mounted(os.listdir)
    shutil.rmtree = _mounted(shutil.rmtree)
if "FAKE_ENGINE" in os.environ:
    for _name in ("dagster_lake.engines.spark.session", "dagster_lake.engines.spark.engine"):
        _spec = importlib.util.spec_from_file_location(_name, os.environ["FAKE_ENGINE"])
        sys.modules[_name] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_name])
if "FAKE_DIE_AT" in os.environ:
    _point, _, _seconds = os.environ["FAKE_DIE_AT"].rpartition("+")
    _die_at(_point, float(_seconds))
