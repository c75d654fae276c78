"""Watching the lake from outside Dagster: a process of its own sees that Dagster's daemon is dead, and still tells."""

from collections.abc import Callable

import dagster as dg

from dagster_lake import clock
from dagster_lake.operations.failures.standing import standing
from dagster_lake.operations.failures.tell import tell_failures
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.sender import Sender, Sent


class Watch:
    """Looks, tells and sends, for one process that is called ``name``. What both it and Dagster's own sensor see has
    one id and is told once."""

    def __init__(
        self, lake: Lake, settings: Settings, instance: dg.DagsterInstance, name: str, say: Callable[[str], None]
    ) -> None:
        self._lake, self._settings, self._instance, self._name, self._say = lake, settings, instance, name, say
        self._sender = Sender(lake, settings, name, say)
        self._standing: set[str] = set()

    def look(self) -> Sent:
        """One look: tells of the failures that stand and were not told, and sends what is due."""
        failures = standing(self._lake, self._instance, clock.utc_now(), self._say, outside=True)
        new = [failure for failure in failures if failure.key not in self._standing]
        tell_failures(self._lake, self._settings, new, self._name, self._say)
        self._standing = {failure.key for failure in failures}
        return self._sender.send()
