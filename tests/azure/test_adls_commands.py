"""The `lake` command on a lake in ADLS Gen2, and Dagster's own pieces for Azure."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from typer.testing import CliRunner, Result
from upath import UPath

from dagster_lake.cli import app
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.storage.adls.blobs import list_blobs, remove_blobs, upload_blob
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.upgrade import remake
from tests.azure.adls_lakes import adls_settings
from tests.azure.azurite import ACCOUNT, KEY, Azurite
from tests.lake.crashing import dying_at

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("city", pa.string())])
Command = Callable[..., Result]


@pytest.fixture
def sas(azurite: Azurite) -> str:
    return azurite.signature(hours=100)


@pytest.fixture
def lake(azurite: Azurite, sas: str, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with one table, which this process's settings name."""
    container = azurite.new_container()
    settings = adls_settings(azurite, container, azure_account_key=None, azure_sas=sas)
    own = {"ROOT": settings.root, "AZURE_SAS": sas, "AZURE_ENDPOINT": azurite.endpoint, "PII_KEY": "k" * 40}
    for name, value in {**own, "PII_KEY_ID": "test"}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    monkeypatch.setenv("COLUMNS", "200")
    made = Lake.of(settings)
    rows = [pa.RecordBatch.from_pydict({"id": [1, 2], "city": ["Brno", "Plzeň"]}, schema=SCHEMA)]
    spec = TableSpec(made.table("silver", "people"), SCHEMA)
    delta.overwrite(spec, lambda: pa.RecordBatchReader.from_batches(SCHEMA, rows), {})
    return made


def pinned(uri: UPath) -> delta.Pinned:
    found = delta.pin(uri)
    assert found is not None
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_status_query_and_preview_read_the_lake(lake: Lake) -> None:
    status = run("status")
    assert f"Lake: {lake.root}" in status.output
    assert "silver.people" in status.output
    assert run("query", "--format", "csv", "select city from people where id = 2").output == "city\nPlzeň\n"
    assert "Brno" in run("preview", "silver/people").output


def test_a_query_reads_nothing_but_the_tables(lake: Lake) -> None:
    result = run("query", f"select * from read_text('{lake.root}/lake.json')")
    assert result.exit_code == 1
    assert "a query reads the lake's tables and no other file" in result.output


def test_the_doctor_tries_everything_and_leaves_nothing_behind(lake: Lake, sas: str) -> None:
    before = [str(blob.path) for blob in list_blobs(lake.root)]
    result = run("doctor")
    for told in ("can be reached by LAKE_AZURE_SAS", "the second of two writers is refused", "LAKE_AZURE_SAS is good"):
        assert told in result.output
    assert "fail  ADLS" not in result.output
    assert "clock: differs from the storage's by" in result.output
    assert [str(blob.path) for blob in list_blobs(lake.root)] == before
    assert sas.partition("sig=")[2] not in result.output


def test_the_doctor_names_what_is_wrong(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for root, told in [
        (f"abfss://nowhere@{ACCOUNT}.dfs.core.windows.net/lake", "there is no container 'nowhere'"),
        ("az://lake/x", "does not name its account"),
    ]:
        monkeypatch.setenv("LAKE_ROOT", root)
        result = run("doctor")
        assert result.exit_code == 1
        assert told in result.output


def test_a_reset_takes_a_yes_and_leaves_what_is_no_part_of_the_lake(lake: Lake) -> None:
    upload_blob(lake.root / "photos" / "one.jpg", b"x", {})
    upload_blob(lake.root.parent / "other" / "lake.json", b"{}", {})
    asked = run("reset")
    assert asked.exit_code == 1
    assert "lake reset --yes" in asked.output
    assert lake.exists()
    assert run("reset", "--yes").exit_code == 0
    left = [str(blob.path).removeprefix(f"{lake.root.parent}") for blob in list_blobs(lake.root.parent)]
    assert sorted(name.lstrip("/") for name in left) == ["lake/photos/one.jpg", "other/lake.json"]
    assert run("reset", "--yes").exit_code == 1


def test_an_older_table_made_anew_is_not_read_from_memory(lake: Lake) -> None:
    uri = lake.table("silver", "people")
    assert pinned(uri).rows() == 2
    for blob in list_blobs(uri):
        blob.path.unlink()
    assert delta.pin(uri) is None
    spec = TableSpec(uri, SCHEMA)
    made = [pa.RecordBatch.from_pydict({"id": [7], "city": ["Zlín"]}, schema=SCHEMA)]
    delta.overwrite(spec, lambda: pa.RecordBatchReader.from_batches(SCHEMA, made), {})
    assert pinned(uri).rows() == 1


def test_what_another_process_wrote_is_seen(lake: Lake) -> None:
    from deltalake import write_deltalake

    from dagster_lake.storage.adls.options import delta_options

    uri = lake.table("silver", "people")
    assert pinned(uri).rows() == 2
    more = pa.table({"id": [3], "city": ["Most"]}, schema=SCHEMA)
    write_deltalake(str(uri), more, mode="append", storage_options=delta_options(uri))
    assert pinned(uri).rows() == 3


def test_two_writers_of_one_table_are_both_kept(lake: Lake) -> None:
    """delta-rs' own conditional commit: the loser computes again."""
    from concurrent.futures import ThreadPoolExecutor

    schema = pa.schema([pa.field("id", pa.int64()), pa.field("_lake_hour", pa.string())])
    spec = TableSpec(lake.table("silver", "hourly"), schema, "_lake_hour")

    def write(hour: str) -> None:
        rows = pa.RecordBatch.from_pydict({"id": [1], "_lake_hour": [hour]}, schema=schema)
        delta.replace_partitions(spec, [hour], lambda: pa.RecordBatchReader.from_batches(schema, [rows]), {})

    hours = [f"2026-01-01T0{n}" for n in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, hours))
    assert pinned(spec.uri).partitions() == hours


def test_the_libraries_logs_never_show_the_signature(lake: Lake, sas: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert delta.pin(lake.table("silver", "people")) is not None
    assert list_blobs(lake.root)
    assert run("query", "select * from people").exit_code == 0
    assert len(caplog.messages) > 5
    secret = sas.partition("sig=")[2].partition("&")[0]
    assert not [message for message in caplog.messages if secret in message]


def test_the_adls_resource_is_there_for_a_lake_in_adls_only(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_azure.adls2 import ADLS2Resource

    from dagster_lake.defs.adls import adls_resources

    monkeypatch.setenv("LAKE_ROOT", "/tmp/somewhere")
    assert adls_resources() == {}
    monkeypatch.setenv("LAKE_ROOT", f"abfss://lake@{ACCOUNT}.dfs.core.windows.net/lake")
    monkeypatch.setenv("LAKE_AZURE_ACCOUNT_KEY", KEY)
    resources = adls_resources()

    @dg.asset
    def asked(adls: ADLS2Resource) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"account": adls.blob_client.account_name})

    result = dg.materialize([asked], resources=resources, instance=dg.DagsterInstance.ephemeral())
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["account"].value == ACCOUNT
    assert KEY not in repr(resources)


def test_the_azure_instance_file_loads_and_keeps_compute_logs_in_the_account(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log manager has no setting for an endpoint of its own, so here its client is given one. Runs are local."""
    from dagster_azure.blob import compute_log_manager

    container = azurite.new_container()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("AZURE_LOGS_CONTAINER", container)
    monkeypatch.setattr(compute_log_manager, "create_blob_client", lambda *_: azurite.client)
    monkeypatch.chdir(tmp_path)
    document = yaml.safe_load((PROJECT_ROOT / "deploy" / "azure" / "dagster.yaml").read_text())
    document["storage"] = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["storage"]
    document["compute_logs"]["config"]["local_dir"] = str(tmp_path / "logs")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(document))
    assert dagster_instance_config(str(tmp_path))[0]["compute_logs"]["class"] == "AzureBlobComputeLogManager"
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        key = ["a-run", "compute_logs", "a-step"]
        with instance.compute_log_manager.capture_logs(key):
            os.write(1, b"what a step printed\n")
    stored = {blob.name for blob in azurite.client.get_container_client(container).list_blobs()}
    assert "dagster/storage/a-run/compute_logs/a-step.out" in stored


def test_a_cut_off_commit_is_told_and_mended_and_a_lost_file_takes_its_table_aside(lake: Lake) -> None:
    table = lake.table("silver", "people")
    log = table / "_delta_log"
    (whole,) = [blob for blob in list_blobs(log) if blob.path.name == f"{1:020}.json"]
    upload_blob(whole.path, b'{"add":{"pa', {})
    delta._held.clear()
    assert "`lake repair silver.people`" in run("query", "select * from people").output
    deep = run("doctor", "--deep")
    assert deep.exit_code == 1
    assert f"silver.people: {whole.path} is cut off or damaged" in deep.output
    assert run("repair", "silver.people", "--yes").exit_code == 0
    delta._held.clear()
    assert (pinned(table).version, pinned(table).rows()) == (1, 0)

    rows = [pa.RecordBatch.from_pydict({"id": [1], "city": ["Brno"]}, schema=SCHEMA)]
    delta.overwrite(TableSpec(table, SCHEMA), lambda: pa.RecordBatchReader.from_batches(SCHEMA, rows), {})
    (lost,) = pinned(table).files()
    remove_blobs(table, [blob for blob in list_blobs(table) if str(blob.path) == lost])
    mended = run("repair", "silver.people", "--yes")
    assert f"{lost} is missing" in mended.output
    delta._held.clear()
    assert delta.pin(table) is None
    assert any("damaged/silver.people" in str(blob.path) for blob in list_blobs(lake.root))


def test_an_upgrade_copies_what_moves_and_goes_on_where_it_was_killed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remake, "STEPS", remake.STEPS[:1])
    hour = "2026-01-01T00"
    for name in ("_manifest.json", "attempt-0001-a/events-0000.parquet"):
        upload_blob(lake.raw("stars") / hour / name, name.encode(), {})
    upload_blob(lake.marker, b'{"format_version": 1}', {})
    assert "`lake upgrade --dry-run`" in run("status").output
    with dying_at("upgrade.raw.stars:after"):
        run("upgrade")
    done = run("upgrade")
    assert done.exit_code == 0, done.output
    moved = {str(blob.path).removeprefix(f"{lake.root}/") for blob in list_blobs(lake.root)}
    assert f"sensitive/raw/stars/{hour}/_manifest.json" in moved
    assert not [name for name in moved if name.startswith(("raw/", "silver/people"))]
    assert [name for name in moved if name.startswith("before_upgrade/silver/people/_delta_log/")]
    assert "nothing to do" in run("upgrade").output
