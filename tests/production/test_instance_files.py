"""deploy/*/dagster.yaml on a real PostgreSQL: with a password, and with tokens that change between connections."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._grpc.client import DagsterGrpcClient

from dagster_lake.operations.instance.run_launcher import WatchedRunLauncher
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.production.database import ROLE, Server
from tests.production.fake_token_endpoint import FakeTokenEndpoint
from tests.production.instances import DEPLOY, opened, put, shipped


@dg.asset
def one() -> None: ...


def uses(instance: dg.DagsterInstance) -> None:
    """Writes and reads runs, events, and schedules."""
    run = dg.materialize([one], instance=instance)
    assert run.success
    assert instance.get_run_by_id(run.run_id) is not None
    assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
    assert instance.all_instigator_state() == []


def test_with_a_password_runs_and_events_are_kept_in_postgresql(server: Server, tmp_path: Path) -> None:
    password = secrets.token_hex(8)
    server.set_password(password)
    environment = server.environment(server.new_database(), password)
    home = put(shipped("postgresql"), tmp_path)
    with opened(home, environment) as instance:
        uses(instance)
        first = [run.run_id for run in instance.get_runs()]
    with opened(home, environment) as again:
        assert [run.run_id for run in again.get_runs()] == first
        assert not again.telemetry_enabled
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["dagster.yaml"]  # no values are handed on by files


def test_the_webserver_s_limit_of_time_for_a_query_is_set_on_each_connection(server: Server, tmp_path: Path) -> None:
    """With the driver that SQLAlchemy takes by itself, setting it closes the connection."""
    password = secrets.token_hex(8)
    server.set_password(password)
    home = put(shipped("postgresql"), tmp_path)
    with opened(home, server.environment(server.new_database(), password)) as instance:
        instance.optimize_for_webserver(statement_timeout=1234, pool_recycle=-1, max_overflow=20)
        uses(instance)
        server.cut_connections()
        for storage in (instance.run_storage, instance.schedule_storage):
            with storage.connect() as connection:  # type: ignore[union-attr]
                assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "1234ms"
        uses(instance)


def test_connections_are_kept_and_made_again_when_they_are_cut(server: Server, tmp_path: Path) -> None:
    password = secrets.token_hex(8)
    server.set_password(password)
    database = server.new_database()
    with opened(put(shipped("postgresql"), tmp_path), server.environment(database, password)) as instance:
        uses(instance)
        kept = server.connections(database)
        assert 1 <= len(kept) <= 5
        uses(instance)
        with dg.DagsterInstance.from_ref(instance.get_ref()) as another:
            uses(another)
        assert server.connections(database) == kept
        server.cut_connections()
        uses(instance)
        assert not server.connections(database) & kept


def test_the_tables_of_a_new_database_need_no_migration(server: Server, tmp_path: Path) -> None:
    """`dagster instance migrate` does what its instance does here."""
    password = secrets.token_hex(8)
    server.set_password(password)
    with opened(put(shipped("postgresql"), tmp_path), server.environment(server.new_database(), password)) as instance:
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            assert storage is not None
            found, newest = storage.alembic_version() or (None, "")
            assert found == newest
        instance.upgrade()
        uses(instance)


def test_times_are_utc_on_a_server_that_has_another_time(server: Server, tmp_path: Path) -> None:
    password = secrets.token_hex(8)
    server.set_password(password)
    home = put(shipped("postgresql"), tmp_path)
    with opened(home, server.environment(server.new_database(), password)) as instance:
        before = datetime.now(UTC)
        uses(instance)
        [record] = instance.get_run_records()
        assert before <= record.create_timestamp.replace(tzinfo=UTC) <= datetime.now(UTC)


def test_a_variable_that_is_missing_is_named(server: Server, tmp_path: Path) -> None:
    environment = server.environment("dagster", "secret")
    del environment["DAGSTER_POSTGRES_USER"]
    home = put(shipped("postgresql"), tmp_path)
    with pytest.raises(Exception, match='"DAGSTER_POSTGRES_USER"'), opened(home, environment):
        pass


# ---- on Azure --------------------------------------------------------------------------------------------------------


def azure_file(server: Server) -> dict[str, Any]:
    """deploy/azure/dagster.yaml, where the server is the test's and compute logs are not kept."""
    document = shipped("azure")
    place = document["storage"]["custom"]["config"]["postgres_db"]
    place["port"] = server.port
    place["params"]["sslrootcert"] = str(server.certificate)
    document["compute_logs"] = shipped("postgresql")["compute_logs"]
    return document


@contextmanager
def on_azure(server: Server, home: Path, lifetime: float) -> Iterator[tuple[FakeTokenEndpoint, dg.DagsterInstance]]:
    """The instance as the identity of a container app, whose tokens last for so many seconds."""
    endpoint = FakeTokenEndpoint(server, lifetime)
    environment = {
        "DAGSTER_POSTGRES_HOST": "localhost",
        "DAGSTER_POSTGRES_DB": server.new_database(),
        "DAGSTER_POSTGRES_USER": ROLE,
        **endpoint.environment,
    }
    with ExitStack() as stack:
        stack.enter_context(endpoint.serving())
        yield endpoint, stack.enter_context(opened(put(azure_file(server), home), environment))


def test_on_azure_every_connection_is_made_with_a_token_that_is_good(server: Server, tmp_path: Path) -> None:
    """The password changes with each token, and a token is near its end at once: what was used before is refused."""
    with on_azure(server, tmp_path, lifetime=60) as (endpoint, instance):
        uses(instance)
        for _ in range(2):
            before = len(endpoint.tokens)
            server.cut_connections()
            uses(instance)
            assert len(endpoint.tokens) > before
            instance.optimize_for_webserver(statement_timeout=1234, pool_recycle=-1, max_overflow=20)
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(
                host="localhost", port=server.port, user=ROLE, password=endpoint.tokens[0], dbname="postgres"
            )


def test_a_token_that_lasts_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    with on_azure(server, tmp_path, lifetime=3600) as (endpoint, instance):
        uses(instance)
        uses(instance)
        assert len(endpoint.tokens) == 1


def test_on_azure_a_server_that_nobody_vouches_for_is_told_no_token(server: Server) -> None:
    as_shipped = shipped("azure")["storage"]["custom"]["config"]["postgres_db"]["params"]
    place = {"host": "localhost", "port": server.port, "user": ROLE, "password": "a token", "dbname": "postgres"}
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        psycopg2.connect(**place, **as_shipped)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(**place, **as_shipped | {"sslrootcert": str(server.certificate)})


# ---- what the files say ----------------------------------------------------------------------------------------------


def test_the_two_files_differ_in_where_runs_and_logs_go_and_in_nothing_else() -> None:
    plain, azure = shipped("postgresql"), shipped("azure")
    for document in (plain, azure):
        del document["storage"], document["compute_logs"]
        del document["run_launcher"]["config"]["restarted_seconds"]
    del azure["python_logs"]
    assert plain == azure


def test_on_azure_a_run_is_waited_for_as_long_as_its_container_may_go_on() -> None:
    bicep = (PROJECT_ROOT / "infra" / "bicep" / "modules" / "dagster.bicep").read_text()
    seconds = shipped("azure")["run_launcher"]["config"]["restarted_seconds"]
    assert f"terminationGracePeriodSeconds: {seconds}" in bicep


@pytest.mark.parametrize("name", ["postgresql", "azure"])
def test_what_the_files_promise_is_what_dagster_does(name: str, server: Server, tmp_path: Path) -> None:
    """Dagster takes unknown keys in some places; so the instance is asked what it understood."""
    document = shipped("postgresql")
    if name == "azure":
        storage, logs = document["storage"], document["compute_logs"]
        document = shipped("azure") | {"storage": storage, "compute_logs": logs}
    password = secrets.token_hex(8)
    server.set_password(password)
    with opened(put(document, tmp_path), server.environment(server.new_database(), password)) as instance:
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 2
        assert limits.run_queue_config.max_user_code_failure_retries == 20
        assert limits.pool_config.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 30
        assert instance.run_retries_max_retries == 3
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert {"MONITORING", "EVENT_LOG_CONSUMER", "QUEUED_RUN_COORDINATOR"} < set(
            instance.get_required_daemon_types()
        )


def test_the_workspace_file_leads_to_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_CODE_HOST", "code")
    monkeypatch.setenv("DAGSTER_CODE_PORT", "4000")
    [origin] = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    client = origin.create_client()  # type: ignore[attr-defined]
    assert isinstance(client, DagsterGrpcClient)
    assert (client.host, client.port, origin.location_name) == ("code", 4000, "dagster_lake")


def test_no_secret_is_in_the_files() -> None:
    for file in DEPLOY.glob("*/dagster.yaml"):
        password = yaml.safe_load(file.read_text())["storage"]["custom"]["config"]["postgres_db"].get(
            "password", {"env": ""}
        )
        assert set(password) == {"env"}, file
