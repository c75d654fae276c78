"""What models of gold must do on every engine: DuckDB's tests and Spark's run these."""

from pathlib import Path

from dagster_lake.storage.delta import pin
from dagster_lake.storage.paths import Lake
from tests.lake.dbt_projects import build, failure, project, write_model
from tests.lake.silver_world import World, hour


def a_failed_model_does_not_stand_in_the_way_of_the_corrected_one(lake: Lake, engine: str, folder: Path) -> None:
    """Neither one that is refused for its types, nor one that fails while it computes."""
    world = World()
    world.rate(hour(0), 1, 5)
    world.write(lake)
    sql = "select cast(sum(stars) as {type}) as total from {{{{ source('silver', 'stars') }}}}"
    declared = "models: [{{name: total, columns: [{{name: total, data_type: {type}}}]}}]"
    with project(
        folder, {"gold/total.sql": sql.format(type="double"), "gold/total.yml": declared.format(type="bigint")}
    ):
        assert "total: declared bigint, selected double" in failure(lake, engine, "total").lower()
        assert pin(lake.table("gold", "total")) is None
        fails = "select cast('a' || event_id as bigint) as total from {{ source('silver', 'stars') }}"
        write_model(folder, "gold/total.sql", fails)
        failure(lake, engine, "total")
        write_model(folder, "gold/total.sql", sql.format(type="double"))
        write_model(folder, "gold/total.yml", declared.format(type="double"))
        build(lake, engine, "total")
    [row] = rows(lake, "total")
    assert row == {"total": 5.0}


def rows(lake: Lake, table: str) -> list[dict]:
    """The rows of a table of gold."""
    found = pin(lake.table("gold", table))
    assert found is not None
    return found.table.to_pyarrow_table().to_pylist()


CASES = [a_failed_model_does_not_stand_in_the_way_of_the_corrected_one]
