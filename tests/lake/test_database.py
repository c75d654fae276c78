"""The SQL source writes and reads the same rows, exactly, on SQLite and on PostgreSQL."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.shop.database import ShopDatabase
from dagster_lake.sources.database.database import Database, DatabaseError

from .crashing import dying_at, points_of
from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMESTAMP = pa.timestamp("us", "UTC")
ORDERS = pa.schema(
    {
        "order_id": pa.int64(),
        "user_id": pa.int64(),
        "order_date": TIMESTAMP,
        "order_value": pa.decimal128(12, 2),
        "updated_at": TIMESTAMP,
    }
)
ITEMS = pa.schema(
    {
        "order_id": pa.int64(),
        "row_id": pa.int64(),
        "product_id": pa.int64(),
        "quantity": pa.int64(),
        "unit_price": pa.decimal128(10, 2),
        "updated_at": TIMESTAMP,
    }
)


def order(number: int, seconds: float, value: str = "1.00") -> dict:
    updated_at = NOON + timedelta(seconds=seconds)
    return dict(zip(ORDERS.names, (number, 7, NOON, Decimal(value), updated_at), strict=True))


def item(number: int, row: int, seconds: float = 1, price: str = "1.00") -> dict:
    updated_at = NOON + timedelta(seconds=seconds)
    return dict(zip(ITEMS.names, (number, row, 3, 2, Decimal(price), updated_at), strict=True))


def batch(rows: Iterable[dict], schema: pa.Schema = ORDERS) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)


def read(database: Database, start: datetime = NOON - HOUR, end: datetime = NOON + 99 * HOUR) -> list[dict]:
    return database.read("orders", ORDERS, "updated_at", start, end).read_all().to_pylist()


def fingerprint(database: Database) -> str:
    return str(database.fingerprint("orders", ORDERS, "updated_at", NOON, NOON + HOUR))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'shop.sqlite'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def shop(url: str) -> ShopDatabase:
    shop = ShopDatabase(url)
    shop.create_tables()
    return shop


@pytest.fixture
def database(shop: ShopDatabase) -> Database:
    return Database(shop.url)


def test_rows_come_back_exactly_and_in_order_of_update(database: Database, shop: ShopDatabase) -> None:
    rows = [
        order(10, 0.000001),
        order(9007199254740993, 3, "9999999999.99"),
        order(2, 0.000001, "-0.01"),
        order(3, 0.000001, "0.00"),
        order(1, 2, "35.35"),
    ]
    shop.upsert({"orders": [batch(rows)]})
    found = database.read("orders", ORDERS, "updated_at", NOON - HOUR, NOON + HOUR)
    assert found.schema == ORDERS
    assert found.read_all().to_pylist() == sorted(rows, key=lambda r: (r["updated_at"], r["order_id"]))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2), max_size=200))
def test_every_price_comes_back_to_the_cent(tmp_path_factory: pytest.TempPathFactory, values: list[Decimal]) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.sqlite'}"
    database, shop = Database(url), ShopDatabase(url)
    shop.upsert({"orders": [batch(order(i, 1, str(value)) for i, value in enumerate(values))]})
    assert [row["order_value"] for row in read(database)] == values


def test_the_end_of_a_range_belongs_to_it_and_the_start_does_not(database: Database, shop: ShopDatabase) -> None:
    shop.upsert({"orders": [batch(order(i, seconds) for i, seconds in enumerate((0, 1, 3600, 3600.000001)))]})
    assert [row["order_id"] for row in read(database, NOON, NOON + HOUR)] == [1, 2]


def test_the_same_rows_again_change_nothing(database: Database, shop: ShopDatabase) -> None:
    rows = {"orders": [batch([order(1, 1), order(2, 2)])], "order_items": [batch([item(1, 1), item(1, 2)], ITEMS)]}
    shop.upsert(rows)
    before = read(database)
    shop.upsert(rows)
    assert read(database) == before


def test_a_row_yields_to_a_newer_one_and_not_to_an_older_one(database: Database, shop: ShopDatabase) -> None:
    shop.upsert({"orders": [batch([order(1, 5, "5.00")])]})
    shop.upsert({"orders": [batch([order(1, 4, "4.00")])]})
    assert read(database) == [order(1, 5, "5.00")]
    shop.upsert({"orders": [batch([order(1, 5, "5.50")])]})
    shop.upsert({"orders": [batch([order(1, 6, "6.00"), order(1, 7, "7.00")])]})
    assert read(database) == [order(1, 7, "7.00")]


def test_items_are_written_after_their_orders_whatever_the_order_given(database: Database, shop: ShopDatabase) -> None:
    shop.upsert({"order_items": [batch([item(1, 1)], ITEMS)], "orders": [batch([order(1, 1)])]})
    assert len(read(database)) == 1


def test_an_item_without_its_order_is_refused_and_nothing_is_written(database: Database, shop: ShopDatabase) -> None:
    with pytest.raises(DatabaseError, match=r"order_items: .*(?i:foreign key)"):
        shop.upsert({"orders": [batch([order(1, 1)])], "order_items": [batch([item(2, 1)], ITEMS)]})
    assert read(database) == []


def test_a_row_without_a_value_is_refused(database: Database, shop: ShopDatabase) -> None:
    with pytest.raises(DatabaseError, match=r"orders: .*(?i:not.null)"):
        shop.upsert({"orders": [batch([{**order(1, 1), "user_id": None}])]})


def test_unknown_tables_and_columns_are_named_with_what_there_is(database: Database, shop: ShopDatabase) -> None:
    with pytest.raises(DatabaseError, match=r"no table 'orderz' in .*; it has order_items, orders"):
        database.read("orderz", ORDERS, "updated_at", NOON, NOON + HOUR)
    with pytest.raises(DatabaseError, match=r"table orders has no column vip, changed; it has order_date, .*Correct"):
        database.read("orders", ORDERS.append(pa.field("vip", pa.int64())), "changed", NOON, NOON + HOUR)
    with pytest.raises(DatabaseError, match="no table cats; the shop has"):
        shop.upsert({"cats": []})
    with pytest.raises(DatabaseError, match="orders: the rows lack updated_at"):
        shop.upsert({"orders": [batch([order(1, 1)]).drop_columns(["updated_at"])]})


def test_an_unsupported_address_is_refused() -> None:
    with pytest.raises(DatabaseError, match="'mysql' is not supported; use a sqlite"):
        Database("mysql://root@localhost/shop")
    with pytest.raises(DatabaseError, match="lasts one connection"):
        Database("sqlite://")


def test_a_fingerprint_changes_with_any_row_and_only_then(database: Database, shop: ShopDatabase) -> None:
    seen = [fingerprint(database)]
    for rows in ([order(1, 1)], [order(2, 2)], [order(2, 2, "1.01")], [order(1, 9999)]):
        shop.upsert({"orders": [batch(rows)]})
        seen.append(fingerprint(database))
        assert fingerprint(database) == seen[-1]
    assert len(set(seen)) == len(seen)
    assert seen[0].startswith("0:")
    assert seen[3].startswith("2:")


def test_any_table_is_read_with_its_nulls_and_odd_names(database: Database, url: str) -> None:
    engine = sqlalchemy.create_engine(database.url.set(drivername="postgresql+psycopg") if "postgres" in url else url)
    with engine.begin() as connection:
        stamp = "text" if "sqlite" in url else "timestamptz"
        connection.exec_driver_sql(
            'CREATE TABLE "odd ""table" (k integer, "a ""b" text, n integer, x double precision, '
            f"d date, f boolean, t {stamp})"
        )
        for k, a, n, x, d, f in (
            ("1", "NULL", "NULL", "NULL", "NULL", "NULL"),
            ("2", "''", "-5", "0.1", "'2026-02-28'", "true"),
            ("3", "'ž 🐈'", "2147483647", "1e300", "'1999-12-31'", "false"),
        ):
            connection.exec_driver_sql(
                f'INSERT INTO "odd ""table" VALUES ({k}, {a}, {n}, {x}, {d}, {f}, \'2026-01-05 12:00:0{k}.000000Z\')'
            )
    engine.dispose()
    columns = pa.schema(
        {"k": pa.int64(), 'a "b': pa.string(), "n": pa.int64(), "x": pa.float64(), "d": pa.date32(), "f": pa.bool_()}
    )
    found = database.read('odd "table', columns, "t", NOON, NOON + HOUR).read_all()
    assert found.schema == columns
    assert found.column('a "b').to_pylist() == [None, "", "ž 🐈"]
    assert found.column("n").to_pylist() == [None, -5, 2147483647]
    assert found.column("x").to_pylist() == [None, 0.1, 1e300]
    assert [str(d) for d in found.column("d").to_pylist()] == ["None", "2026-02-28", "1999-12-31"]
    assert found.column("f").to_pylist() == [None, True, False]


def test_a_value_that_does_not_fit_its_type_is_put_aside_under_its_column_s_name(
    database: Database, shop: ShopDatabase
) -> None:
    shop.upsert({"orders": [batch([order(1, 1, "1.23")])]})
    narrow = pa.schema([("order_value", pa.decimal128(12, 1))])
    found = database.read("orders", narrow, "updated_at", NOON, NOON + HOUR, rescued=True).read_all().to_pylist()
    assert found == [{"order_value": None, "_rescued_data": '{"order_value":"1.23"}'}]


def test_a_death_at_any_commit_then_the_same_rows_gives_the_same_table(database: Database, shop: ShopDatabase) -> None:
    rows = {"orders": [batch([order(1, 1)])], "order_items": [batch([item(1, 1)], ITEMS)]}
    points = points_of(lambda: shop.upsert({"orders": [batch([order(9, 1)])], "order_items": []}))
    assert points == ["database.order_items+orders:before", "database.order_items+orders:after"]
    for point in points:
        with dying_at(point):
            shop.upsert(rows)
        shop.upsert(rows)
        assert [row["order_id"] for row in read(database)] == [1, 9]


def test_a_person_with_sqlite3_sees_readable_values(tmp_path: Path) -> None:
    file = tmp_path / "shop.sqlite"
    ShopDatabase(f"sqlite:///{file}").upsert({"orders": [batch([order(1, 1.5, "35.35")])]})
    connection = sqlite3.connect(file)
    (row,) = connection.execute("SELECT *, datetime(updated_at), order_value + 1 FROM orders")
    connection.close()
    assert row == (
        1, 7, "2026-01-05 12:00:00.000000Z", 35.35, "2026-01-05 12:00:01.500000Z", "2026-01-05 12:00:01", 36.35
    )  # fmt: skip


def test_writers_do_not_wait_for_a_reader(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    database, shop = Database(url), ShopDatabase(url)
    shop.upsert({"orders": [batch(order(i, 1) for i in range(100_000))]})
    reader = database.read("orders", ORDERS, "updated_at", NOON, NOON + HOUR)
    first = reader.read_next_batch()
    shop.upsert({"orders": [batch([order(1, 2, "2.00")])]})
    assert len(first) + sum(len(found) for found in reader) == 100_000
