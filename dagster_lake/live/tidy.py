"""Keeping the number of files bounded while tables are written every few seconds.

Each pass replaces the open hour's partition of every table, so that its files of the pass before are needed by
nobody but whoever is still reading that version. They go after an hour, as the small files of raw do.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta

from upath import UPath

from dagster_lake.contract.model import Contract
from dagster_lake.live.tables import stream_models
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, quarantine_table, silver_table
from dagster_lake.streams.alerts.notices import notices_table
from dagster_lake.streams.alerts.outbox import deliveries_table

KEPT = timedelta(hours=1)
"""How long a version stays readable: longer than reads of a table of events take."""
FOLLOWED_LOG_KEPT = timedelta(days=2)
"""Streams and gold catch up by silver's log, and sinks by their streams'; without it, by everything. Hours up to two
days old are taken up again."""
EVERY = timedelta(minutes=10)


def written_live(lake: Lake, contracts: Iterable[Contract]) -> list[UPath]:
    """The tables that ``lake stream`` and the runs of ``near_real_time`` write; some may not be there."""
    layers = (bronze_table, silver_table, quarantine_table)
    return [
        *(layer(lake, contract).uri for contract in contracts for layer in layers),
        *(lake.table("streams", model.split(".")[-1]) for model in stream_models()),
        notices_table(lake).uri,
        deliveries_table(lake).uri,
    ]


def tidied(tables: Iterable[UPath], followed: Collection[UPath] = ()) -> Iterator[tuple[UPath, Exception | None]]:
    """Tidies each table; says why it could not be, where another writer came first or it is damaged.

    Those in ``followed`` are read by what changed, so that their logs are kept for as long as silver's.
    """
    names = {str(table) for table in followed}
    for table in tables:
        is_followed = table.parent.name == "silver" or str(table) in names
        try:
            delta.tidy(table, kept=KEPT, log_kept=FOLLOWED_LOG_KEPT if is_followed else KEPT)
        except Exception as error:
            yield table, error
        else:
            yield table, None


class Tidy:
    """Tidies ``tables``, all of them every ``EVERY``. ``failed`` is told what could not be, and nothing stops by it."""

    def __init__(
        self, tables: list[UPath], failed: Callable[[Exception | None], None], followed: Collection[UPath] = ()
    ) -> None:
        self._tables, self._failed, self._followed = tables, failed, followed
        self._last = float("-inf")  # a process that is killed again and again tidies as well

    def when_due(self) -> None:
        """To be called when no table is being written by this process."""
        if time.monotonic() - self._last < EVERY.total_seconds():
            return
        failures = [failure for _, failure in tidied(self._tables, self._followed) if failure is not None]
        self._last = time.monotonic()
        self._failed(failures[-1] if failures else None)
