"""The catalog's SQL, run by a real Spark with Delta as far as that knows it: what it makes is what the engines make."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from upath import UPath

from dagster_lake.contract.model import contracts
from dagster_lake.engines.spark.session import spark_session
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.unity_catalog import sql
from dagster_lake.unity_catalog.desired import desired_state
from dagster_lake.unity_catalog.model import State
from tests.azure.catalog_yaml import config

NASTY = "It's \\' a `name`; DROP TABLE x --\nand a second line"


@pytest.fixture(scope="module")
def desired(tmp_path_factory: pytest.TempPathFactory) -> State:
    return desired_state(config(tmp_path_factory.mktemp("catalog")), contracts(), {"nodes": {}})


def test_empty_tables_are_as_the_lake_makes_them_and_take_its_writes(tmp_path: Path, desired: State) -> None:
    spark = spark_session(Settings())
    spark.sql("CREATE DATABASE catalog_test")
    try:
        for name in ("sensitive.quarantine_users", "silver.orders"):
            wanted = desired["table", f"shop_dev.{name}"]
            place = tmp_path / name
            here = f"catalog_test.{wanted.name.rsplit('.', 1)[1]}"
            table = replace(wanted, name=here, settings={"location": str(place)})
            assert wanted.spec is not None
            spec = replace(wanted.spec, uri=UPath(place))
            spark.sql(sql.create_empty_table(table, spec))

            made = DeltaTable(str(place))
            assert pa.schema(made.schema().to_arrow()).remove_metadata() == spec.schema
            assert made.metadata().partition_columns == ([spec.partition_by] if spec.partition_by else [])
            assert made.metadata().description == wanted.comment
            assert {c.name: c.metadata.get("comment") for c in made.schema().fields} == {
                column: wanted.columns[column].comment for column in spec.schema.names
            }
            kept = made.metadata().configuration["delta.dataSkippingStatsColumns"].split(",")
            assert not {column for column, has in wanted.columns.items() if has.mask} & {*kept}

            spark.sql(sql.comment_on_table(here, NASTY))
            spark.sql(sql.comment_on_column(here, spec.schema.names[0], NASTY))
            described = DeltaTable(str(place))
            assert described.metadata().description == NASTY
            assert described.schema().fields[0].metadata["comment"] == NASTY
            assert spark.sql(sql.describe_files(str(place))).first()["format"] == "delta"

            rows = pa.table([pa.nulls(0, c.type) for c in spec.schema], schema=spec.schema)
            delta.overwrite(spec, lambda rows=rows: rows.to_reader(), {})
        with pytest.raises(Exception, match="DELTA_MISSING_DELTA_TABLE"):
            spark.sql(sql.describe_files(str(tmp_path / "nothing"))).collect()
    finally:
        spark.sql("DROP DATABASE catalog_test CASCADE")


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("hide", False, ["***", "***", None]),
        ("first_letter", False, ["J***", "***", None]),
        ("hide", True, ["Jana", "", None]),
        ("first_letter", True, ["Jana", "", None]),
    ],
)
def test_masks_show_the_value_only_to_whoever_is_allowed(
    desired: State, name: str, allowed: bool, expected: list[str | None]
) -> None:
    spark = spark_session(Settings())
    function = desired["function", f"shop_dev.masks.{name}"]
    # Only Databricks knows who is in which group.
    definition = function.settings["definition"].replace(
        "is_account_group_member('shop-sensitive')", str(allowed).lower()
    )
    here = replace(function, name=f"default.{name}", settings={"definition": definition})
    spark.sql(sql.create_function(here))
    try:
        rows = spark.sql(f"SELECT default.{name}(v) FROM VALUES ('Jana'), (''), (NULL) AS t(v)").collect()
        assert [row[0] for row in rows] == expected
    finally:
        spark.sql(f"DROP FUNCTION default.{name}")
