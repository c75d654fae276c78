"""A small lake to test with: built in this process, through Dagster or asset by asset, and read back whole."""

import inspect
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dagster as dg
from deltalake import DeltaTable

from dagster_lake import clock
from dagster_lake.contract.model import Contract, contracts
from dagster_lake.engines.step import Step
from dagster_lake.lake_hour import HOUR, HourRange, parse_hour
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.land import land_hours, land_snapshot
from dagster_lake.shop.world import dirt_of, world_of
from dagster_lake.storage.tables import has_newest
from generators.dials import Dirt
from generators.world import World

FIRST_HOUR = "2026-01-01T00"
"""Where the generated world begins: no event was sent before it, so every copy has its original in the lake."""
NOW = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)
KEY = b"a masking key that only tests use, 48 bytes long"
TINY = {"users": 120, "vip_users": 12, "products": 30, "orders_per_hour": 20, "pageviews_per_hour": 60}
Row = dict[str, Any]


@dataclass
class TestLake:
    """One lake below ``root`` with settings of its own."""

    __test__ = False

    root: Path
    settings: Mapping[str, object] = field(default_factory=lambda: TINY)

    @property
    def environment(self) -> dict[str, str]:
        """The ``LAKE_*`` variables that make a process use this lake."""
        own = {"root": self.root, "pii_key": KEY.decode(), "pii_key_id": "test-1", "threads": 1, **self.settings}
        return {f"LAKE_{name.upper()}": str(value) for name, value in own.items()}

    @contextmanager
    def here(self) -> Iterator[None]:
        """Makes this process use this lake, with the clock held still."""
        with patch.dict(os.environ, self.environment), patch.object(clock, "utc_now", lambda: NOW):
            yield

    @cached_property
    def resource(self) -> LakeResource:
        """The lake as assets get it."""
        with self.here():
            resource = LakeResource()
            assert resource.settings.root == str(self.root)
            return resource

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which opens the lake itself."""
        return {"root": self.root, "settings": self.settings}

    @property
    def world(self) -> World:
        """The generated outside world."""
        return world_of(self.resource.settings)

    @property
    def dirt(self) -> Dirt:
        """How dirty it is."""
        return dirt_of(self.resource.settings)

    def materialize(
        self, *hours: str, selection: Any = None, config: Mapping[str, Any] | None = None, ok: bool = True
    ) -> dg.ExecuteInProcessResult:
        """Materialises through Dagster: the selection, or all assets up to silver, for one hour or a range."""
        tags = {}
        if hours:
            tags = {"dagster/asset_partition_range_start": hours[0], "dagster/asset_partition_range_end": hours[-1]}
        with self.here():
            result = dg.materialize(
                definitions(),
                selection=selection,
                resources={"lake": LakeResource()},
                run_config={"ops": dict(config)} if config else None,
                tags=tags,
                instance=dg.DagsterInstance.ephemeral(),
                raise_on_error=ok,
            )
        assert result.success or not ok
        return result

    def run_data_set(self, data_set: str, *hours: str, sources: bool = True) -> None:
        """The assets of one data set, source to newest, called one after the other without Dagster around them."""
        contract = contracts()[data_set]
        with self.here():
            if sources:
                self._call(_source_of(data_set), *hours)
            for name in ("raw", "bronze", "silver", "newest"):
                if asset := _layers()[data_set].get(name):
                    self._call(asset, *(hours if contract.cadence == "hourly" else ()))

    def run_sources(self, data_sets: Iterable[str], *hours: str) -> None:
        """The source assets of some data sets."""
        with self.here():
            for data_set in data_sets:
                self._call(_source_of(data_set), *hours)

    def land(self, data_set: str, *hours: str, refresh: bool = False) -> None:
        """Raw of one data set."""
        contract = contracts()[data_set]
        with self.here():
            if contract.cadence == "snapshot":
                land_snapshot(contract, self.resource.lake, refresh=refresh)
            else:
                range_ = HourRange.of(hours[0], hours[-1])
                land_hours(contract, self.resource.lake, range_, self.resource.sources, refresh=refresh)

    def step(self, data_set: str, layer: str, *hours: str) -> None:
        """One engine step of one data set for a range of hours."""
        with self.here():
            keys = HourRange.of(hours[0], hours[-1]).keys
            self.resource.engine.run(Step(data_set, layer, tuple(keys)))  # type: ignore[arg-type]

    def _call(self, asset: dg.AssetsDefinition, *hours: str) -> None:
        function = asset.op.compute_fn.decorated_fn  # type: ignore[union-attr]
        arguments: dict[str, Any] = {"lake": self.resource}
        for name, kind in inspect.get_annotations(function).items():
            if name == "context":
                span = dg.PartitionKeyRange(hours[0], hours[-1]) if hours else None
                arguments[name] = SimpleNamespace(
                    partition_key_range=span,
                    log=logging.getLogger("lake"),
                    log_event=lambda event: None,
                    run_id="by hand",
                    selected_asset_keys=asset.keys,
                    selected_asset_check_keys=frozenset(),
                )
            elif name == "config":
                arguments[name] = kind()
        list(function(**arguments))

    def rows(self, table: str) -> list[Row]:
        """The rows of one table, such as ``silver/users``, in a fixed order."""
        return content_of(self.table_folder(table))

    def table_folder(self, table: str) -> Path:
        """Where a table is, in the sensitive zone or not."""
        folders = [self.root / table, self.root / "sensitive" / table]
        return next(folder for folder in folders if (folder / "_delta_log").exists())

    def content(self) -> dict[str, list[Row]]:
        """Every row of every table. Nothing of Delta's own is in it: equal content may come from other commits."""
        return {str(folder.relative_to(self.root)): content_of(folder) for folder in sorted(_tables(self.root))}

    def manifests(self) -> dict[str, dict[str, Any]]:
        """What raw holds, by manifest file; attempt folders, which are named at random, without their names, and
        snapshots without what their landing folder looked like, which a copy of it does not."""
        found = {}
        for file in sorted(self.root.rglob("_manifest.json")):
            document = json.loads(file.read_text())
            if document["kind"] == "files":
                document.pop("source_state")
            for attempt in document["attempts"]:
                for one in attempt["files"]:
                    one["path"] = one["path"].split("/")[-1]
            found[str(file.relative_to(self.root))] = document
        return found


def hours(count: int, first: str = FIRST_HOUR) -> list[str]:
    """The keys of ``count`` hours from ``first``."""
    start = parse_hour(first)
    return HourRange(start, start + (count - 1) * HOUR).keys


def definitions() -> list[Any]:
    """Every asset and check up to silver."""
    return _definitions()


def content_of(folder: Path) -> list[Row]:
    """The rows of one Delta table, sorted."""
    return sorted(DeltaTable(str(folder)).to_pyarrow_table().to_pylist(), key=repr)


def differences(found: Mapping[str, list[Row]], wanted: Mapping[str, list[Row]]) -> str:
    """What distinguishes two lakes' content, in a few lines; empty when nothing does."""
    lines = []
    for table in sorted({*found, *wanted}):
        here, there = found.get(table), wanted.get(table)
        if here != there:
            lines.append(f"{table}: {_size(here)} rows instead of {_size(there)}")
            extra = [row for row in here or [] if row not in (there or [])]
            missing = [row for row in there or [] if row not in (here or [])]
            lines += [f"  extra {row}" for row in extra[:2]] + [f"  missing {row}" for row in missing[:2]]
    return "\n".join(lines)


def write(path: Path, content: str | bytes, modified: datetime | None = None) -> Path:
    """Writes a file as somebody outside would, dated ``modified``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if modified is not None:
        os.utime(path, (modified.timestamp(), modified.timestamp()))
    return path


def _tables(root: Path) -> Iterator[Path]:
    for log in root.rglob("_delta_log"):
        yield log.parent


def _size(rows: list[Row] | None) -> object:
    return "no" if rows is None else len(rows)


@cache
def _definitions() -> list[Any]:
    from dagster_lake.defs.contracts.acceptance import accepted_checks
    from dagster_lake.defs.contracts.assets import contract_assets
    from dagster_lake.defs.contracts.checks import contract_checks
    from dagster_lake.defs.contracts.landing_checks import landing_checks
    from dagster_lake.defs.shop import source_assets

    sources = source_assets()
    raw_to_silver = contract_assets([key for source in sources for key in source.keys])
    return [*sources, *raw_to_silver, *contract_checks(), *accepted_checks(), *landing_checks()]


@cache
def _layers() -> dict[str, dict[str, dg.AssetsDefinition]]:
    from dagster_lake.defs.contracts.bronze import bronze_asset
    from dagster_lake.defs.contracts.raw import raw_asset
    from dagster_lake.defs.contracts.silver import newest_asset, silver_asset

    makers: dict[str, Callable[[Contract], dg.AssetsDefinition]] = {
        "raw": raw_asset,
        "bronze": bronze_asset,
        "silver": silver_asset,
        "newest": newest_asset,
    }
    return {
        name: {layer: make(contract) for layer, make in makers.items() if layer != "newest" or has_newest(contract)}
        for name, contract in contracts().items()
    }


@cache
def _sources() -> dict[str, dg.AssetsDefinition]:
    from dagster_lake.defs.shop import source_assets

    return {key.path[-1]: asset for asset in source_assets() for key in asset.keys}


def _source_of(data_set: str) -> dg.AssetsDefinition:
    return _sources()[data_set]
