"""The lake's own code location, at another time, which a test can hold up at any commit."""

from dagster_lake import clock, commit
from dagster_lake.definitions import defs
from tests.lake.lakes import NOW
from tests.production.gates import gate

__all__ = ["defs"]

clock.utc_now = lambda: NOW
commit.observe(gate)
