"""What does not fit into LAKE_MEMORY_LIMIT is spilled, also where nobody may write in the working folder."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.credentials import DuckDBCredentials

from dagster_lake.cli.shared.reader import ask
from dagster_lake.dbt_runner.delta_plugin import SESSIONS, Plugin
from dagster_lake.dbt_runner.duckdb_session import DbtSession
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

LARGE = "SELECT range AS id, hash(range)::VARCHAR || repeat('x', 40) AS name FROM range(1500000)"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Little memory, in a folder in which DuckDB cannot make its own folder for what spills."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tmp").write_text("in the way")
    with pytest.raises(duckdb.Error, match=r"Failed to create directory \"\.tmp\""):
        duckdb.connect(config={"memory_limit": "40MB", "threads": 1}).execute(f"CREATE TABLE large AS {LARGE}")
    return Settings(root=str(tmp_path / "lake"), memory_limit="40MB", threads=1)


def test_models_of_dbt_spill_into_a_folder_that_is_gone_afterwards(settings: Settings) -> None:
    session = SESSIONS["spills"] = DbtSession(Lake.of(settings), settings, "spills")
    try:
        credentials = DuckDBCredentials()
        plugin = Plugin("delta", {"session": "spills"}, credentials)
        config: dict[str, Any] = {}
        plugin.update_connection_config(credentials, config)
        with duckdb.connect(config=config) as con:
            plugin.configure_connection(con)
            con.execute(f"CREATE TABLE large AS {LARGE}")
            assert list(Path(session.spill).iterdir()) != []
            assert con.execute("SELECT count(DISTINCT name) FROM large").fetchone() == (1500000,)
        spilled = Path(session.spill)
    finally:
        session.close()
        del SESSIONS["spills"]
    assert not spilled.exists()


def test_a_query_that_may_read_tables_only_can_spill(settings: Settings) -> None:
    with ask([], settings, f"SELECT name FROM ({LARGE}) ORDER BY name DESC") as rows:
        assert sum(batch.num_rows for batch in rows) == 1500000
