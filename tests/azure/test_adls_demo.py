"""The whole demo in ADLS Gen2, as far as Azurite is that: the same tables, and the same again when run again."""

from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.lake_resource import LakeResource
from tests.azure.adls_lakes import AdlsLake
from tests.azure.azurite import Azurite
from tests.lake.lakes import TINY, TestLake, differences, hours

HOURS = hours(2)
STATUS = "gold/lake_status"


def build(lake: TestLake, first: str = HOURS[0]) -> dg.ExecuteInProcessResult:
    """Every asset of the project, gold and the report included, for the hours from ``first``."""
    from dagster_lake.definitions import defs

    assets = [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    with lake.here():
        return dg.materialize(
            [*assets, *(defs.asset_checks or [])],
            resources={"lake": LakeResource()},
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": HOURS[-1]},
            instance=dg.DagsterInstance.ephemeral(),
        )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    """The lake that the other one is compared with."""
    lake = TestLake(tmp_path_factory.mktemp("local") / "lake", TINY)
    assert build(lake).success
    return lake


@pytest.fixture(scope="module")
def remote(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> AdlsLake:
    """The lake in Azurite, opened by a shared access signature."""
    sources = tmp_path_factory.mktemp("remote") / "sources"
    return AdlsLake(sources, TINY, azurite=azurite, container=azurite.new_container(), sas=azurite.signature(hours=1))


@pytest.fixture(scope="module")
def built(remote: AdlsLake) -> dg.ExecuteInProcessResult:
    return build(remote)


def test_the_demo_makes_the_same_tables_as_on_a_local_disk(
    local: TestLake, remote: AdlsLake, built: dg.ExecuteInProcessResult
) -> None:
    assert built.success
    wanted, found = local.content(), remote.content()
    assert len(wanted["silver/pageviews"]) > 20
    assert len(wanted["gold/engagements"]) > 100
    assert differences(found, wanted) == ""


def test_no_event_of_the_run_shows_the_signature(remote: AdlsLake, built: dg.ExecuteInProcessResult) -> None:
    assert remote.sas is not None
    secret = remote.sas.partition("sig=")[2].partition("&")[0]
    said = [event.to_json() if hasattr(event, "to_json") else repr(event) for event in built.all_events]
    assert len(said) > 100
    assert not [line for line in said if secret in line or "sig=" in line]


def test_the_report_is_in_the_lake_and_its_address_is_told(remote: AdlsLake, built: dg.ExecuteInProcessResult) -> None:
    (event,) = [
        e for e in built.get_asset_materialization_events() if e.asset_key == dg.AssetKey(["reports", "engagement"])
    ]
    assert event.materialization.metadata["page"].value == f"{remote.url}/reports/engagement.html"
    page = remote.azurite.client.get_blob_client(remote.container, "lake/reports/engagement.html").download_blob()
    assert page.readall().startswith(b"<!doctype html>")


def test_an_hour_again_changes_nothing(remote: AdlsLake, built: dg.ExecuteInProcessResult) -> None:
    before, raw = remote.content(), raw_of(remote)
    assert build(remote, first=HOURS[-1]).success
    after = remote.content()
    assert before.pop(STATUS) != after.pop(STATUS)  # which tells what the lake is like at the moment
    assert differences(after, before) == ""
    assert raw_of(remote) == raw


def raw_of(lake: AdlsLake) -> dict[str, str]:
    """Every blob in raw with its etag: a blob that was written again has another."""
    blobs = lake.azurite.client.get_container_client(lake.container).list_blobs()
    return {blob.name: blob.etag for blob in blobs if "/raw/" in blob.name}


def test_nothing_of_the_lake_is_on_this_machine(remote: AdlsLake, built: dg.ExecuteInProcessResult) -> None:
    names = {path.name for path in Path(remote.root).iterdir()}
    # Whoever reads a SQLite file in WAL mode shares two files beside it with its writers.
    assert names - {"shop.db-shm", "shop.db-wal"} == {"dirt", "event_hub", "shop.db"}
