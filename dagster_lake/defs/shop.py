"""Source assets: they put generated data into the source systems, standing in for the outside world.

Nothing downstream knows them: raw reads the landing folder, the database and the event hub, whoever fills them.
"""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from upath import UPath

from dagster_lake.contract.model import contracts
from dagster_lake.defs.partitions import hourly, hours_of
from dagster_lake.lake_hour import hour_key
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.dropped import GENERATED_NOTE, MODIFIED_NOTE
from dagster_lake.settings.project import ProjectSettings
from dagster_lake.storage.adls.blobs import upload_blob
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import Lake, local_path

if TYPE_CHECKING:
    from generators.dials import Dirt
    from generators.world import World

_OWNER = "team:shop"
_UPLOADS = 16
_GENERATED = {
    "users": re.compile(r"users\.jsonl"),
    "vip_users": re.compile(r"vip_users\.jsonl"),
    "products": re.compile(r"\d{6}/[^/]+\.json"),
}
"""The files below the landing folder that are the generators' own."""


def source_assets() -> list[dg.AssetsDefinition]:
    """The seven generated data sets: three snapshots dropped as files, one database, two event hubs.

    None where the contracts are somebody's own.
    """
    if not ProjectSettings().has_shop_contracts:
        return []
    return [
        _snapshot_source("users", "Customers, one JSON-lines file in the landing folder."),
        _snapshot_source("vip_users", "VIP customers, one JSON-lines file in the landing folder."),
        _snapshot_source("products", "Products, one JSON file each in the landing folder."),
        _database_source(),
        _hub_source("pageviews", "Pages shown to customers, sent to the event hub."),
        _hub_source("stars", "Ratings given after a visit, sent to the event hub."),
    ]


def _snapshot_source(data_set: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["sources", data_set],
        group_name="sources",
        kinds={"python", "json"},
        owners=[_OWNER],
        description=description,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def source(lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.landing.whole import tell_whole
        from generators import files

        writers: dict[str, Callable[[World, Path, Dirt], int]] = {
            "users": files.write_users,
            "vip_users": files.write_vip_users,
            "products": files.write_products,
        }
        started = time.monotonic()
        world, dirt = _world(lake)
        landing = lake.lake.landing(data_set)
        note, described = landing / GENERATED_NOTE, f"{world!r} {dirt!r}"
        rows = _written_before(note, described)
        if rows is None:
            with _dropping_into(landing) as folder:
                rows = writers[data_set](world, folder, dirt)
                _date_back(folder, data_set, world, described)
            _write_dirt(lake.lake, world, data_set, None, dirt)
            note.write_text(f"{described}\n{rows}\n")
            tell_whole(contracts()[data_set], lake.lake, lambda file: _GENERATED[data_set].fullmatch(file) is not None)
        yield dg.MaterializeResult(metadata=_metadata(rows, started))

    return source


def _database_source() -> dg.AssetsDefinition:
    def spec(table: str, description: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            ["sources", table],
            group_name="sources",
            kinds={"python", "sql"},
            owners=[_OWNER],
            description=description,
        )

    @dg.multi_asset(
        name="sources__shop",
        specs=[
            spec("orders", "Orders, in the shop's database."),
            spec("order_items", "Lines of orders, in the shop's database."),
        ],
        partitions_def=hourly,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def shop(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.shop.database import open_shop
        from generators.database import table_batches

        started = time.monotonic()
        world, dirt = _world(lake)
        shop = open_shop(lake.settings, lake.lake)
        if shop is None:
            context.log.warning(
                "sources/orders: nothing was generated: LAKE_DATABASE_URL names a database that is not the lake's own, "
                "and nobody writes to it but its owner. To fill it with the shop's rows all the same, run `python -m "
                "generators database`"
            )
        else:
            for hour in hours_of(context):
                shop.upsert({table: table_batches(world, table, hour, dirt) for table in ("orders", "order_items")})
                _write_dirt(lake.lake, world, "order_items", hour, dirt)
        for key in context.selected_asset_keys:  # both tables are always written: items refer to orders
            yield dg.MaterializeResult(asset_key=key, metadata={"seconds": time.monotonic() - started})

    return shop


def _hub_source(data_set: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["sources", data_set],
        group_name="sources",
        kinds={"python", "eventhub"},
        owners=[_OWNER],
        description=description,
        partitions_def=hourly,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def source(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
        from generators.events import hub_batches

        started = time.monotonic()
        world, dirt = _world(lake)
        hub = lake.sources.event_hub
        rows = 0
        if not isinstance(hub, EmbeddedEventHub):
            context.log.warning(
                f"sources/{data_set}: nothing was generated: only the embedded event hub can be given past hours. Send "
                f"events as they happen, by `python -m generators stream {data_set}` or from their real source"
            )
            yield dg.MaterializeResult(metadata=_metadata(rows, started))
            return
        for hour in hours_of(context):
            # The batch is named after the hour, so that a second run of it sends nothing twice.
            batches = hub_batches(world, data_set, hour, dirt)
            rows += hub.append(data_set, f"generated {hour_key(hour)}", batches)
            _write_dirt(lake.lake, world, data_set, hour, dirt)
        yield dg.MaterializeResult(metadata=_metadata(rows, started))

    return source


def _world(lake: LakeResource) -> "tuple[World, Dirt]":
    from dagster_lake.shop.world import dirt_of, world_of

    return world_of(lake.settings), dirt_of(lake.settings)


def _metadata(rows: int, started: float) -> dict[str, int | float]:
    return {"dagster/partition_row_count": rows, "seconds": round(time.monotonic() - started, 3)}


def _written_before(note: UPath, described: str) -> int | None:
    """The rows of an earlier run that wrote the very same; None when it did not."""
    if not note.exists():
        return None
    written, rows = note.read_text().splitlines()
    return int(rows) if written == described else None


@contextmanager
def _dropping_into(landing: UPath) -> Iterator[Path]:
    """A local folder whose files are in ``landing`` afterwards: the landing folder itself, or one that is uploaded.

    In ADLS nobody can set a file's modification time, so that it is noted as rclone notes it.
    """
    if not is_adls(landing):
        yield local_path(landing)
        return
    with tempfile.TemporaryDirectory(prefix="lake-") as temporary:
        folder = Path(temporary)
        yield folder
        files = [file for file in folder.rglob("*") if file.is_file()]

        def upload(file: Path) -> None:
            modified = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=file.stat().st_mtime_ns // 1000)
            notes = {MODIFIED_NOTE: modified.isoformat()}
            upload_blob(landing / file.relative_to(folder).as_posix(), file.read_bytes(), notes)

        with ThreadPoolExecutor(_UPLOADS) as threads:
            list(threads.map(upload, files))


def _date_back(folder: Path, data_set: str, world: "World", described: str) -> None:
    """Dates the generated files to the beginning of the generated world: a snapshot is named after its files' time.

    The fraction of the second tells worlds apart, so that another seed's files of the same size are seen as new. Files
    that somebody else dropped keep their time.
    """
    fraction = int.from_bytes(hashlib.sha256(described.encode()).digest()[:4]) % 1_000_000
    stamp = int(world.epoch.timestamp()) * 1_000_000_000 + fraction * 1_000
    generated = [folder / f"{data_set}.jsonl", *folder.glob("[0-9]" * 6 + "/*.json")]
    for file in generated:
        if file.exists():
            os.utime(file, ns=(stamp, stamp))


def _write_dirt(lake: Lake, world: "World", data_set: str, hour: object, dirt: "Dirt") -> None:
    """Notes every dirty row in ``sources/dirt/``: the truth that tests compare the lake with."""
    import pyarrow.parquet as pq

    from generators.dirt import manifest

    folder = lake.sources / "dirt" / data_set
    folder.mkdir(parents=True, exist_ok=True)
    name = "snapshot" if hour is None else hour_key(hour)  # type: ignore[arg-type]
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    pq.write_table(manifest(world, data_set, hour, dirt), temporary)  # type: ignore[arg-type]
    temporary.replace(folder / f"{name}.parquet")
