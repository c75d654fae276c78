"""Dagster's local history: stock storage that does not wait for the disk, and touches no other database."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, event, text

from dagster_lake.operations.instance import place as history_place
from dagster_lake.operations.instance.sqlite_history import LocalHistory
from dagster_lake.settings.lake import PROJECT_ROOT, Settings

NORMAL, FULL = 1, 2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    return tmp_path


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.chdir(home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


def test_the_projects_dagster_yaml_keeps_the_history_with_the_lake(home: Path, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def one() -> None: ...

    assert dg.materialize([one], instance=instance).success
    assert {entry.name for entry in home.iterdir()} <= {".dagster", "dagster.yaml", "lake"}
    assert not (home / ".dagster" / "history").exists()
    assert (home / "lake" / ".dagster" / "history" / "history" / "runs.db").is_file()
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


def test_a_history_can_be_opened_and_closed_while_others_connect(tmp_path: Path) -> None:
    """As in the daemon, where each sensor's look opens it anew, in a thread of its own."""
    left = [tmp_path / "history"]

    def in_the_middle(*_: object) -> None:
        if left:
            LocalHistory.from_local(str(left.pop())).dispose()

    event.listen(Engine, "connect", in_the_middle)
    try:
        with create_engine(f"sqlite:///{tmp_path / 'shop.db'}").connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    finally:
        event.remove(Engine, "connect", in_the_middle)
    assert not left


def test_two_lakes_of_one_checkout_know_nothing_of_each_others_runs(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset
    def one() -> None:
        raise ValueError("this lake is in trouble")

    assert not dg.materialize([one], instance=instance, raise_on_error=False).success
    monkeypatch.setenv("LAKE_ROOT", str(home / "elsewhere"))
    with dg.DagsterInstance.get() as other:
        assert other.get_runs() == []
    assert len(instance.get_runs()) == 1


def test_remote_lakes_have_a_history_each_in_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(history_place, "PROJECT_ROOT", tmp_path)
    roots = ["abfss://lake@account.dfs.core.windows.net/a", "abfss://lake@account.dfs.core.windows.net/b"]
    folders = [history_place.history_folder(Settings(root=root)) for root in (*roots, f"{roots[0]}/")]
    assert folders[0] == folders[2] != folders[1]
    assert {folder.parent for folder in folders} == {tmp_path / ".dagster"}


def test_the_history_that_all_lakes_shared_goes_to_the_checkouts_own_lake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(history_place, "PROJECT_ROOT", tmp_path)
    (tmp_path / ".dagster" / "history" / "history").mkdir(parents=True)
    (tmp_path / ".dagster" / "history" / "history" / "runs.db").write_text("runs")
    other = history_place.runs_of(Settings(root=str(tmp_path / "elsewhere")))
    assert not other.exists()
    own = history_place.runs_of(Settings(root=str(tmp_path / ".lake")))
    assert (own / "history" / "runs.db").read_text() == "runs"
    assert history_place.earlier_history() is None
    assert history_place.runs_of(Settings(root=str(tmp_path / ".lake"))) == own
