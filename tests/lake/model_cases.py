"""What models of gold must do on every engine: DuckDB's tests and Spark's run these."""

from pathlib import Path

import pyarrow as pa

from dagster_lake.lake_hour import HourRange
from dagster_lake.storage.delta.write import pin
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


HOURLY = """
{{ config(
    materialized='incremental', incremental_strategy='insert_overwrite', partition_by='_lake_hour',
    replaces='recomputed_hours', on_schema_change='fail', tags=['hourly'],
) }}
"""


def an_hourly_model_that_joins_a_whole_table_is_the_same_by_a_range_and_hour_by_hour(
    lake: Lake, engine: str, folder: Path
) -> None:
    """``source()`` is all hours, whichever the run is for; ``source_hours()`` those of the run."""
    world = World()
    for number in range(3):
        world.order(hour(number), number, user_id=1, value="5.00", items=[2])
        world.view(hour(number), 1)
    world.view(hour(2), 1)
    world.write(lake)
    sql = """
        select
            views._lake_hour,
            cast(count(*) as bigint) as views_times_orders,
            cast(sum(items.quantity) as bigint) as items
        from {{ source_hours('silver', 'pageviews') }} as views
        inner join {{ source('silver', 'orders') }} as orders on orders.user_id = views.user_id
        left join {{ source_hours('silver', 'order_items', of='orders') }} as items
            on items.order_id = orders.order_id and orders._lake_hour = views._lake_hour
        group by views._lake_hour
    """
    of_items = "select _lake_hour, order_id as id from {{ source_hours('silver', 'order_items', of='orders') }}"
    of_orders = "select _lake_hour, order_id as id from {{ source_hours('silver', 'orders') }}"
    models = {"range": HOURLY + sql, "one": HOURLY + sql, "moved": HOURLY + of_orders + " union all " + of_items}
    with project(folder, {f"gold/{name}.sql": text for name, text in models.items()}):
        build(lake, engine, "range", hours=HourRange.of(hour(0), hour(2)))
        for number in (2, 0, 1):
            build(lake, engine, "one", hours=HourRange.of(hour(number)))
        assert sorted((r["_lake_hour"], r["views_times_orders"], r["items"]) for r in rows(lake, "range")) == [
            (hour(0), 3, 2),
            (hour(1), 3, 2),
            (hour(2), 6, 4),
        ]
        assert by_hour(lake, "one") == by_hour(lake, "range")
        # An item of order 0 is written later: the hour of the order is computed again, as the contracts relate the two.
        build(lake, engine, "moved", hours=HourRange.of(hour(0), hour(2)))
        world.item(hour(5), 0, 2, 7)
        world.write(lake)
        build(lake, engine, "moved", hours=HourRange.of(hour(5)))
        assert [(r["_lake_hour"], r["id"]) for r in by_hour(lake, "moved") if r["id"] == 0] == [
            (hour(0), 0),
            (hour(0), 0),
            (hour(5), 0),
        ]


def what_a_model_must_not_read_by_the_hour_is_refused_by_file_and_remedy(lake: Lake, engine: str, folder: Path) -> None:
    """A table that is written whole, a data set without hours, one that names no key of the other."""
    read = "select 1 as one from {{{{ source_hours({}) }}}} as r"
    cases = {
        "whole": (read.format("'silver', 'stars'"), "whole.sql: reads the hours of a run, and is materialized table"),
        "without": (HOURLY + read.format("'silver', 'products'"), "silver.products has no hours; read it by source()"),
        "apart": (
            HOURLY + read.format("'silver', 'stars', of='orders'"),
            "the contract of stars references no field of orders; give the field a relationship there",
        ),
    }
    with project(folder, {f"gold/{name}.sql": sql for name, (sql, _) in cases.items()}):
        for name, (_, told) in cases.items():
            message = failure(lake, engine, name)
            assert told in message
            assert f"models/gold/{name}.sql" in message


def columns_without_a_declared_type_get_that_of_the_query(lake: Lake, engine: str, folder: Path) -> None:
    """With no YAML, with YAML that only describes, and with a type here and there."""
    world = World()
    world.rate(hour(0), 1, 5)
    world.rate(hour(0), 1, 2)
    world.write(lake)
    sql = """
        select user_id, sum(stars) as total, avg(stars) as mean, min(event_time) as first, 'x' as word, array(1) as list
        from {{ source('silver', 'stars') }} group by user_id
    """
    sql = sql.replace("array(1)", "[1]") if engine == "duckdb" else sql
    described = "models: [{name: described, columns: [{name: total, description: All stars.}]}]"
    partly = """
        models: [{name: partly, columns: [{name: user_id, data_type: bigint}, {name: total, description: All stars.}]}]
    """
    models = {
        "gold/bare.sql": sql,
        "gold/described.sql": "select * from {{ ref('bare') }}",
        "gold/described.yml": described,
        "gold/partly.sql": "select user_id, total from {{ ref('bare') }}",
        "gold/partly.yml": partly,
    }
    with project(folder, models):
        build(lake, engine, "bare", "described", "partly")
    types = {
        "user_id": pa.int64(),
        "total": pa.int64(),
        "mean": pa.float64(),
        "first": pa.timestamp("us", "UTC"),
        "word": pa.string(),
    }
    for table, columns in {
        "bare": [*types, "list"],
        "described": [*types, "list"],
        "partly": ["user_id", "total"],
    }.items():
        found = pin(lake.table("gold", table))
        assert found is not None
        assert found.schema.names == columns
        assert {n: found.schema.field(n).type for n in columns if n != "list"} == {
            n: types[n] for n in columns if n in types
        }
        assert [row["total"] for row in rows(lake, table)] == [7]
        if table != "bare":
            assert found.schema.field("total").metadata[b"comment"] == b"All stars."


def what_is_wrong_with_a_model_s_columns_is_told_by_file_column_and_remedy(
    lake: Lake, engine: str, folder: Path
) -> None:
    """Whatever is declared and whatever is selected."""
    cases = {
        "untyped": ("select null as nothing", None, "untyped.sql: gold.untyped.nothing is of type", "cast it"),
        "gone": ("select 1 as a", "[{name: b}]", "gone.yml: gold.gone has no column b", "select it"),
        "other": (
            "select 1 as a",
            "[{name: a, data_type: varchar}]",
            "other.yml: gold.other differs",
            "cast the column",
        ),
        "more": ("select 'x' as a, 'y' as b", "[{name: a, data_type: varchar}]", "b: declared not", "correct the YAML"),
        "absent": ("select * from {{ ref('untyped') }}", None, "gold.untyped is not in the lake yet", "build it first"),
    }
    models = {f"gold/{name}.sql": sql for name, (sql, *_) in cases.items()}
    models |= {f"gold/{n}.yml": f"models: [{{name: {n}, columns: {c}}}]" for n, (_, c, *_) in cases.items() if c}
    with project(folder, models):
        for name, (_, _, told, remedy) in cases.items():
            message = failure(lake, engine, name)
            assert told in message, message
            assert remedy in message
            assert pin(lake.table("gold", name)) is None


def rows(lake: Lake, table: str) -> list[dict]:
    """The rows of a table of gold."""
    found = pin(lake.table("gold", table))
    assert found is not None
    return found.table.to_pyarrow_table().to_pylist()


def by_hour(lake: Lake, table: str) -> list[dict]:
    """The same in a fixed order."""
    return sorted(rows(lake, table), key=lambda row: [str(value) for value in row.values()])


CASES = [
    a_failed_model_does_not_stand_in_the_way_of_the_corrected_one,
    an_hourly_model_that_joins_a_whole_table_is_the_same_by_a_range_and_hour_by_hour,
    what_a_model_must_not_read_by_the_hour_is_refused_by_file_and_remedy,
    columns_without_a_declared_type_get_that_of_the_query,
    what_is_wrong_with_a_model_s_columns_is_told_by_file_column_and_remedy,
]
