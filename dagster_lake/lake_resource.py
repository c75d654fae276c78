"""What assets need to do their work, made from the settings when a run starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg

from dagster_lake.contract.model import Contract, contracts
from dagster_lake.operations.open_hour import knowing_hours_of
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.first_hour import check_first_hour
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from dagster_lake.engines.step import Engine
    from dagster_lake.sources.opened import Sources


class LakeResource(dg.ConfigurableResource):
    """The lake, its engine and its sources. Everything is read from ``LAKE_*`` when first asked for."""

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run."""
        return Settings()

    @cached_property
    def lake(self) -> Lake:
        """The lake's layout; the folder is created when absent.

        Raises FirstHourError where Dagster's partitions begin later than the lake, so that a run would not see all.
        """
        lake = Lake.of(self.settings)
        check_first_hour(lake, self.settings)
        return lake

    @property
    def contracts(self) -> dict[str, Contract]:
        """Every contract, by data set."""
        return contracts()

    @cached_property
    def engine(self) -> "Engine":
        """The engine that runs steps, as ``LAKE_ENGINE`` names it."""
        from dagster_lake.engine_choice import engine_of

        return engine_of(self.lake, self.contracts, self.settings)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> "Iterator[LakeResource]":
        """The resource of a run; meanwhile Dagster knows the open hour, where the run is for it."""
        with knowing_hours_of(context.run.tags if context.run else {}), super().yield_for_execution(context) as lake:
            yield lake

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Ends compute that an engine keeps for the run's further steps."""
        if "engine" in self.__dict__ and self.settings.engine == "databricks":
            self.engine.close()  # type: ignore[attr-defined]

    @cached_property
    def sources(self) -> "Sources":
        """The event hub and the database that raw is landed from."""
        from dagster_lake.sources.choice import open_sources

        return open_sources(self.settings, self.lake)
