"""The database that production's instance is tested on."""

from tests.production.database import server  # noqa: F401
