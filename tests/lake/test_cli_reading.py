"""`lake status`, `query` and `preview` over small real Delta tables."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import replace_partitions
from dagster_lake.storage.paths import Lake

Run = Callable[..., Result]
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("city", pa.string()),
        ("spent", pa.decimal128(12, 2)),
        ("seen", pa.timestamp("us", "UTC")),
        ("jobs", pa.list_(pa.string())),
        ("_lake_hour", pa.string()),
    ]
)
HOURS = ("2026-01-05T11", "2026-01-05T12")
KEY = "k" * 64


def write(lake: Lake, layer: str, name: str, *, sensitive: bool = False, rows: int = 3) -> None:
    """A table with ``rows`` rows in each of two hours."""
    spec = TableSpec(
        lake.table(layer, name, sensitive=sensitive), SCHEMA, "_lake_hour", description="Small, for tests."
    )
    seen = datetime(2026, 1, 5, 12, tzinfo=UTC)
    found = [
        {"id": i, "city": "Žďár | a", "spent": Decimal("1.50"), "seen": seen, "jobs": ["x", "y"], "_lake_hour": hour}
        for hour in HOURS
        for i in range(rows)
    ]

    def compute() -> pa.RecordBatchReader:
        table = pa.Table.from_pylist(found, SCHEMA)
        return pa.RecordBatchReader.from_batches(SCHEMA, table.to_batches())

    replace_partitions(spec, list(HOURS), compute, {})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "lake"


@pytest.fixture
def lake(root: Path) -> Lake:
    lake = Lake.at(str(root))
    write(lake, "bronze", "users", sensitive=True)
    write(lake, "silver", "users")
    write(lake, "gold", "engagements")
    (root / "sources").mkdir()
    (root / "sources" / "pii.key").write_text(KEY)
    return lake


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: str, **options: object) -> Result:
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False, **options)  # type: ignore[arg-type]

    return invoke


def test_status_of_no_lake_says_how_to_build_one_and_makes_none(root: Path, run: Run) -> None:
    result = run("status")
    assert result.exit_code == 0
    assert "lake demo" in result.output
    assert not root.exists()


@pytest.mark.usefixtures("lake")
def test_status_lists_every_table_with_its_rows_and_freshest_hour(run: Run) -> None:
    lines = {line.split()[0]: line.split() for line in run("status").output.splitlines() if "." in line}
    assert {"bronze.users", "silver.users", "gold.engagements"} <= lines.keys()
    assert lines["gold.engagements"][1] == "6"
    assert lines["gold.engagements"][-1] == HOURS[-1]


def test_status_counts_only_raw_partitions_with_a_manifest(lake: Lake, run: Run) -> None:
    for hour in HOURS:
        Path(str(lake.raw_partition("stars", hour))).mkdir(parents=True)
    (Path(str(lake.raw_partition("stars", HOURS[0]))) / "_manifest.json").write_text("{}")
    (line,) = [line for line in run("status").output.splitlines() if line.strip().startswith("stars")]
    assert line.split() == ["stars", "1", HOURS[0], HOURS[0]]


def test_a_lake_of_another_format_is_refused_with_the_remedy(root: Path, run: Run) -> None:
    root.mkdir()
    (root / "lake.json").write_text('{"format_version": 99}')
    result = run("status")
    assert result.exit_code == 1
    assert "format_version 99" in result.output


@pytest.mark.usefixtures("lake")
def test_a_query_reads_tables_by_layer_and_name(run: Run) -> None:
    sql = "select count(*) as n, sum(s.spent) as czk from silver.users s join bronze.users b using (id, _lake_hour)"
    result = run("query", "--format", "json", sql)
    assert json.loads(result.stdout) == [{"n": 6, "czk": 9.0}]


@pytest.mark.usefixtures("lake")
def test_a_plain_name_does_where_one_layer_has_it(run: Run) -> None:
    assert json.loads(run("query", "--format", "json", "select count(*) n from engagements").stdout) == [{"n": 6}]


@pytest.mark.usefixtures("lake")
def test_a_plain_name_in_several_layers_is_refused_with_the_names(run: Run) -> None:
    result = run("query", "select * from users")
    assert result.exit_code == 1
    assert "bronze.users, silver.users" in result.output


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("name", ["gold.engagement", "engagments", "silver.engagements"])
def test_an_unknown_table_names_the_near_ones(run: Run, name: str) -> None:
    result = run("query", f"select * from {name}")
    assert result.exit_code == 1
    assert "did you mean gold.engagements" in result.output


@pytest.mark.usefixtures("lake")
def test_csv_holds_every_row_and_value_exactly(run: Run) -> None:
    result = run("query", "--format", "csv", "select * from silver.users order by _lake_hour, id")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 6
    assert rows[0] == {
        "id": "0",
        "city": "Žďár | a",
        "spent": "1.50",
        "seen": "2026-01-05T12:00:00+00:00",
        "jobs": '["x", "y"]',
        "_lake_hour": HOURS[0],
    }


@pytest.mark.usefixtures("lake")
def test_markdown_escapes_the_bar(run: Run) -> None:
    lines = run("query", "--format", "markdown", "select id, city from silver.users limit 1").stdout.splitlines()
    assert lines == ["| id | city |", "|--:|---|", "| 0 | Žďár \\| a |"]


@pytest.mark.usefixtures("lake")
def test_a_table_stops_at_the_limit_and_says_so(run: Run) -> None:
    result = run("query", "--limit", "2", "select id from silver.users")
    assert "The first 2 rows; --limit 0 prints all." in result.output
    exact = run("query", "--limit", "6", "select id from silver.users")
    assert "The first" not in exact.output


@pytest.mark.usefixtures("lake")
def test_two_columns_of_one_name_both_reach_json(run: Run) -> None:
    (row,) = json.loads(run("query", "--format", "json", "select 1 as a, 2 as a").stdout)
    assert sorted(row.values()) == [1, 2]


@pytest.mark.usefixtures("lake")
def test_no_rows_are_an_empty_json_array(run: Run) -> None:
    assert json.loads(run("query", "--format", "json", "select * from silver.users where id < 0").stdout) == []


@pytest.mark.usefixtures("lake")
def test_a_query_can_come_from_standard_input(run: Run) -> None:
    assert json.loads(run("query", "--format", "json", "-", input="select 1 as one").stdout) == [{"one": 1}]


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/passwd')",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/hostname'",
        "select * from glob('/etc/*')",
        "select * from read_text('{root}/sources/pii.key')",
        "select * from read_text('{root}/gold/engagements/../../sources/pii.key')",
        "select * from glob('{root}/sources/*')",
    ],
)
def test_a_query_reads_no_file_but_the_tables(root: Path, run: Run, sql: str) -> None:
    result = run("query", sql.format(root=root))
    assert result.exit_code == 1
    assert "Error:" in result.output
    assert "root:" not in result.output
    assert KEY not in result.output


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{root}/gold/engagements/x.parquet'",
        "create table t (i int)",
        "drop view silver.users",
        "attach '{root}/gold/engagements/x.db'",
        "set enable_external_access = true",
        "explain analyze copy (select 1) to '{root}/gold/engagements/x.csv'",
        "select 1; copy (select 1) to '{root}/gold/engagements/x.csv'",
        "install httpfs",
        "",
    ],
)
def test_a_query_only_selects(root: Path, run: Run, sql: str) -> None:
    before = sorted(root.rglob("*"))
    result = run("query", sql.format(root=root))
    assert result.exit_code == 1
    assert "SELECT" in result.output
    assert sorted(root.rglob("*")) == before


@pytest.mark.usefixtures("lake")
def test_sql_that_fails_is_told_without_a_traceback(run: Run) -> None:
    for sql in ("selec 1", "select nothing from silver.users", "select cast('x' as int)"):
        result = run("query", sql)
        assert result.exit_code == 1
        assert "Traceback" not in result.output


def test_a_query_without_a_lake_says_how_to_build_one(root: Path, run: Run) -> None:
    result = run("query", "select 1")
    assert result.exit_code == 1
    assert "lake demo" in result.output
    assert not root.exists()


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("name", ["silver/users", "silver.users", "SILVER/USERS"])
def test_preview_shows_columns_and_rows(run: Run, name: str) -> None:
    output = run("preview", name, "--rows", "1").output
    assert "silver.users, 6 rows" in output
    assert "Small, for tests." in output
    assert "decimal(12, 2)" in output
    assert "Žďár | a" in output
    assert max(len(line) for line in output.splitlines()) <= 80


@pytest.mark.usefixtures("lake")
def test_preview_of_one_hour_shows_only_its_rows(run: Run) -> None:
    output = run("preview", "silver/users", "--hour", HOURS[0]).output
    assert f"3 rows in {HOURS[0]}" in output
    assert HOURS[1] not in output


@pytest.mark.usefixtures("lake")
def test_preview_of_an_hour_that_is_not_there_names_those_that_are(run: Run) -> None:
    result = run("preview", "silver/users", "--hour", "2026-01-05T13")
    assert result.exit_code == 1
    assert f"nearest: {HOURS[-1]};" in result.output
    assert f"nearest: {HOURS[0]};" in run("preview", "silver/users", "--hour", "2026-01-01T23").output


@pytest.mark.usefixtures("lake")
def test_preview_of_an_unknown_table_names_the_near_ones(run: Run) -> None:
    result = run("preview", "gold/users")
    assert result.exit_code == 1
    assert "silver.users" in result.output


@pytest.mark.usefixtures("lake")
def test_preview_tells_that_a_table_holds_personal_data(run: Run) -> None:
    assert "personal data" in run("preview", "bronze/users").output
    assert "personal data" not in run("preview", "silver/users").output


def test_another_lake_is_named_by_option(lake: Lake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", "/nowhere")
    assert "silver.users" in run("--lake", str(lake.root), "status").output
