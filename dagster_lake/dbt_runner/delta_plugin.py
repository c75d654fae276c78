"""The dbt-duckdb plugin that reads and writes the lake's Delta tables; see dbt_session for how."""

from typing import Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from duckdb import DuckDBPyConnection

from dagster_lake.dbt_runner.column_types import Declared
from dagster_lake.dbt_runner.duckdb_session import Belonging, DbtSession, Store, View
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import DeltaWriteError
from dagster_lake.storage.duckdb.files import let_read
from dagster_lake.storage.duckdb.scan import quoted
from dagster_lake.storage.paths import Lake

SESSIONS: dict[str, DbtSession] = {}
"""The sessions of this process by the name that the profile passes to the plugin."""


class Plugin(BasePlugin):
    """Shows the lake's tables as views, and stores models as Delta."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Joins the session that the caller of dbt has opened, or opens one when dbt is run by hand."""
        name = plugin_config["session"]
        self.session = SESSIONS[name] if name else _by_hand()
        self._types: dict[tuple[str, str], pa.DataType] = {}

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """The lake's limits."""
        config["memory_limit"] = self.session.settings.memory_limit
        config["temp_directory"] = self.session.spill
        if self.session.settings.threads:
            config["threads"] = self.session.settings.threads

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Views over all tables, made before any thread runs."""
        conn.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")  # a bar would go to whatever stdout is
        let_read(conn, self.session.lake.root)
        self.session.open(conn)

    def store(self, target_config: TargetConfig) -> None:
        """Writes one model, or shows what one reads; ``config`` is of the macro ``store_in_lake``, or of those in
        ``inputs.sql`` and ``source_hours.sql``."""
        config = target_config.config
        relation = target_config.relation
        if "show" in config:
            self.session.show(self._view(f"{relation.schema}.{relation.identifier}", config))
            return
        store = Store(
            table=f"{relation.schema}.{relation.identifier}",
            sql=config["sql"],
            mode=config["mode"],
            declared=self._declared(config),
            inputs=tuple(config["inputs"]),
            description=" ".join(config["description"].split()),
            partition_by=config["partition_by"],
            partitions=tuple(config["partitions"] or ()),
            key=config["unique_key"],
        )
        try:
            self.session.store(store)
        except Exception:
            raise
        except BaseException as error:  # such as a panic in delta-rs: dbt would lose the thread and wait for ever
            raise RuntimeError(f"{store.table}: {type(error).__name__}: {error}") from error

    def _view(self, name: str, config: dict[str, Any]) -> View:
        table, hours, of = config["show"], config.get("hours"), config.get("of")
        schema = pa.schema([]) if table in self.session.pinned else self._missing(table, config)
        belonging = None if of is None else Belonging(of["table"], *of["on"])
        return View(name, table, schema, None if hours is None else tuple(hours), belonging)

    def _missing(self, table: str, config: dict[str, Any]) -> pa.Schema:
        """What a table that the lake has not yet looks like, by its declaration."""
        declared = self._declared(config)
        if declared.untyped.names or not declared.typed.names:
            raise DeltaWriteError(
                f"{table} is not in the lake yet, and what it will look like is not declared; build it first, or give "
                f"all its columns a data_type ({declared.files})"
            )
        return declared.typed

    def _declared(self, config: dict[str, Any]) -> Declared:
        """The declared columns as Arrow: DuckDB knows what its types are there."""
        typed = [column for column in config["columns"] if column.get("data_type")]
        untyped = [column for column in config["columns"] if not column.get("data_type")]
        fields = [_field(self._type(column, config["files"]), column) for column in typed]
        return Declared(pa.schema(fields), pa.schema([_field(pa.null(), c) for c in untyped]), config["files"])

    def _type(self, column: dict[str, Any], files: str) -> pa.DataType:
        name, text = column["name"], column["data_type"]
        if (text, name) not in self._types:
            try:
                with self.session.cursor() as cursor:
                    read = cursor.sql(f"SELECT CAST(NULL AS {text}) AS {quoted(name)}").to_arrow_reader(1)
                    self._types[text, name] = read.schema.field(0).type
            except duckdb.Error as error:
                raise DeltaWriteError(
                    f"{files}: column {name} has the data_type {text}, which is none; write one as DuckDB names them, "
                    f"such as bigint or varchar ({error})"
                ) from None
        return self._types[text, name]


def _by_hand() -> DbtSession:
    settings = Settings()
    return DbtSession(Lake.of(settings), settings)


def _field(kind: pa.DataType, column: dict[str, Any]) -> pa.Field:
    required = any(constraint["type"] == "not_null" for constraint in column["constraints"])
    comment = {"comment": " ".join(column["description"].split())}
    return pa.field(column["name"], kind, nullable=not required, metadata=comment)
