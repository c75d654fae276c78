"""The tables of the demonstration's shop, as SQLAlchemy metadata. Any other table is read as it is found."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
)

METADATA = MetaData()

# SQLite has no time type: it keeps UTC text with fixed microseconds, which sorts as time does and which a person and
# SQLite's own date functions can read. Its NUMERIC is a double, exact for up to 15 digits.
_TIMESTAMP = DateTime(timezone=True).with_variant(Text(), "sqlite")
_ID = BigInteger().with_variant(Integer(), "sqlite")

Table(
    "orders",
    METADATA,
    Column("order_id", _ID, primary_key=True, autoincrement=False),
    Column("user_id", _ID, nullable=False),
    Column("order_date", _TIMESTAMP, nullable=False),
    Column("order_value", Numeric(12, 2), nullable=False),
    Column("updated_at", _TIMESTAMP, nullable=False, index=True),
)

Table(
    "order_items",
    METADATA,
    Column("order_id", _ID, ForeignKey("orders.order_id"), primary_key=True, autoincrement=False),
    Column("row_id", _ID, primary_key=True, autoincrement=False),
    Column("product_id", _ID, nullable=False),
    Column("quantity", _ID, nullable=False),
    Column("unit_price", Numeric(10, 2), nullable=False),
    Column("updated_at", _TIMESTAMP, nullable=False, index=True),
    sqlite_with_rowid=False,
)
