"""Makes every table again from raw, by the engine that the settings name: the last part of an upgrade that needs it.

The tables as they were are moved aside first, whole, and stay until somebody removes them. Which alerts were told stays
in its place: nothing else knows.
"""

from collections.abc import Sequence

from dagster_lake.contract.columns import partition_field
from dagster_lake.contract.model import Contract, contracts
from dagster_lake.engines.step import Engine
from dagster_lake.engines.step import Step as EngineStep
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.listing import ONLY_HERE, LakeTable, raw_data_sets, tables
from dagster_lake.storage.moving import move_folder
from dagster_lake.storage.paths import Lake
from dagster_lake.upgrade.step import Say, Step

ASIDE = "before_upgrade"
"""Below each zone: the tables as they were."""

_CHUNK_HOURS = 500
"""Hours that one step of the engine gets; it cuts them by rows itself."""


def _old_tables(lake: Lake) -> list[LakeTable]:
    return [table for table in tables(lake) if table.name not in ONLY_HERE]


def _aside_told(lake: Lake, settings: Settings) -> list[str]:
    return [f"move {len(_old_tables(lake))} tables aside to {ASIDE}/ of their zone; remove them when all is well"]


def _move_aside(lake: Lake, settings: Settings, say: Say) -> None:
    from dagster_lake.privacy.masking_key import masking_key

    if any(contract.personal for contract in contracts().values()):
        # Raises for another key than the lake's while silver is there to tell: afterwards any would be taken.
        masking_key(settings, lake)
    old = _old_tables(lake)
    say(f"{len(old)} tables move aside")
    for table in old:
        aside = table.uri.parent.parent / ASIDE / table.layer / table.plain_name
        move_folder(table.uri, aside, f"upgrade.{table.name}")


def _made_told(lake: Lake, settings: Settings) -> list[str]:
    landed = {data_set.name: len(data_set.partitions) for data_set in raw_data_sets(lake)}
    known = [f"{name} ({count} partitions)" for name, count in landed.items() if name in contracts()]
    unknown = [f"raw of {name} has no contract and stays as it is" for name in landed if name not in contracts()]
    return [f"make bronze, silver and the latest rows again of {', '.join(known) or 'nothing'}", *unknown]


def _make(lake: Lake, settings: Settings, say: Say) -> None:
    from dagster_lake.engine_choice import engine_of
    from dagster_lake.landing.land import partitions

    engine = engine_of(lake, contracts(), settings)
    for contract in contracts().values():
        landed = partitions(lake, contract)
        if landed:
            say(f"{contract.name}: {len(landed)} partitions, {landed[0]} to {landed[-1]}")
            for why in _make_tables(contract, landed, engine, lake):
                say(f"{contract.name}: withheld from silver: {why}")


def _make_tables(contract: Contract, landed: Sequence[str], engine: Engine, lake: Lake) -> list[str]:
    from dagster_lake.storage.accepted import accepted_snapshots
    from dagster_lake.storage.tables import has_newest

    withheld: dict[str, str] = {}
    snapshots = contract.cadence == "snapshot"
    size = len(landed) if snapshots else _CHUNK_HOURS  # what becomes of a snapshot depends on those before
    chunks = [tuple(landed[first : first + size]) for first in range(0, len(landed), size)]
    for chunk in chunks:
        engine.run(EngineStep(contract.name, "bronze", chunk))
        withheld.update(engine.run(EngineStep(contract.name, "silver", chunk)).withheld)
    if has_newest(contract):
        for chunk in [tuple(accepted_snapshots(lake, contract))] if snapshots else chunks:
            engine.run(EngineStep(contract.name, "newest", chunk))
    return [f"{partition_field(contract).name} {partition}: {why}" for partition, why in withheld.items()]


def _models_told(lake: Lake, settings: Settings) -> list[str]:
    return ["make streams and gold again, for all hours"]


def _make_models(lake: Lake, settings: Settings, say: Say) -> None:
    from dagster_lake.dbt_runner.manifest import HOURLY_TAG, STREAMS, manifest
    from dagster_lake.dbt_runner.run import build

    hours = sorted(hour for name, hours in _hours(lake).items() for hour in hours if name)
    models = [node for node in manifest()["nodes"].values() if node["resource_type"] == "model"]
    streams = [node for node in models if node["schema"] == STREAMS]
    hourly = [node for node in models if node not in streams and HOURLY_TAG in node["tags"]]
    rest = [node for node in models if node not in streams and node not in hourly]
    span = HourRange.of(hours[0], hours[-1]) if hours else None
    for part, of in ((streams, span), (hourly, span), (rest, None)):
        if of is None and part is not rest:
            continue  # no hour has landed
        for result in build([node["unique_id"] for node in part], of, lake, settings):
            say(f"{result.unique_id.split('.')[2]}: {result.status}")


def _hours(lake: Lake) -> dict[str, list[str]]:
    from dagster_lake.landing.land import partitions

    return {c.name: partitions(lake, c) for c in contracts().values() if c.cadence == "hourly"}


STEPS = (
    Step("tables aside", _aside_told, _move_aside),
    Step("tables from raw", _made_told, _make),
    Step("streams and gold", _models_told, _make_models),
)
