"""Dagster's local history: stock storage that does not wait for the disk, and touches no other database."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from dagster_lake.resources.history import LocalHistory
from dagster_lake.settings import PROJECT_ROOT

NORMAL, FULL = 1, 2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    return tmp_path


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.chdir(home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


def test_the_projects_dagster_yaml_keeps_everything_below_dot_dagster(home: Path, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def one() -> None: ...

    assert dg.materialize([one], instance=instance).success
    assert sorted(entry.name for entry in home.iterdir()) == [".dagster", "dagster.yaml"]
    assert not instance.telemetry_enabled


def test_a_second_instance_sees_the_runs_of_the_first(home: Path, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def one() -> None: ...

    run = dg.materialize([one], instance=instance)
    with dg.DagsterInstance.get() as other:
        assert [found.run_id for found in other.get_runs()] == [run.run_id]
        assert other.get_latest_materialization_event(dg.AssetKey("one")) is not None


def test_only_databases_of_the_history_are_eased(tmp_path: Path) -> None:
    history = LocalHistory.from_local(str(tmp_path / "history"))

    def synchronous(file: Path) -> int:
        with create_engine(f"sqlite:///{file}").connect() as connection:
            return int(connection.execute(text("PRAGMA synchronous")).scalar_one())

    assert synchronous(tmp_path / "history" / "history" / "runs.db") == NORMAL
    assert synchronous(tmp_path / "shop.db") == FULL
    history.dispose()
    assert synchronous(tmp_path / "history" / "history" / "runs.db") == FULL
