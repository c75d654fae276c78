"""A shop's database written by hand, in SQLite or PostgreSQL, as its owner's programs would write it."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from sqlalchemy.engine import make_url

_TABLES = (
    "CREATE TABLE orders (order_id BIGINT PRIMARY KEY, user_id BIGINT, order_date {time}, "
    "order_value NUMERIC(12, 2), updated_at {time})",
    "CREATE TABLE order_items (order_id BIGINT, row_id BIGINT, product_id BIGINT, quantity BIGINT, "
    "unit_price NUMERIC(10, 2), updated_at {time}, PRIMARY KEY (order_id, row_id))",
)


@dataclass(frozen=True)
class ShopByHand:
    """The tables ``orders`` and ``order_items`` at a SQLAlchemy URL."""

    url: str

    def create(self) -> "ShopByHand":
        time = "TEXT" if self.url.startswith("sqlite") else "TIMESTAMPTZ"
        for table in _TABLES:
            self.run(table.format(time=time))
        return self

    def run(self, sql: str) -> None:
        """One statement, committed."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(make_url(self.url).database or "")) as connection, connection:
                connection.execute(sql)
            return
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    def order(self, number: int, updated_at: datetime, *, user: int = 1, value: str = "5.00", items: int = 1) -> None:
        """One order with so many items, each of one piece of product 1, written at once."""
        at = stamp(updated_at)
        self.run(f"INSERT INTO orders VALUES ({number}, {user}, '{at}', {value}, '{at}')")
        for row in range(1, items + 1):
            self.run(f"INSERT INTO order_items VALUES ({number}, {row}, 1, 1, {value}, '{at}')")

    def delete(self, number: int) -> None:
        """The order goes, and its items."""
        self.run(f"DELETE FROM order_items WHERE order_id = {number}")
        self.run(f"DELETE FROM orders WHERE order_id = {number}")


def stamp(moment: datetime) -> str:
    """As both databases take it, and as the lake's own SQLite tables hold it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
