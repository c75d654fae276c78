"""The dbt-duckdb plugin that reads and writes the lake's Delta tables; see dbt_session for how."""

from typing import Any

import pyarrow as pa
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from duckdb import DuckDBPyConnection

from dagster_lake.engines.dbt_session import DbtSession, Store
from dagster_lake.settings import Settings
from dagster_lake.storage.duckdb_files import let_read
from dagster_lake.storage.paths import Lake

SESSIONS: dict[str, DbtSession] = {}
"""The sessions of this process by the name that the profile passes to the plugin."""


class Plugin(BasePlugin):
    """Shows the lake's tables as views, and stores models as Delta."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Joins the session that the caller of dbt has opened, or opens one when dbt is run by hand."""
        name = plugin_config["session"]
        self.session = SESSIONS[name] if name else _by_hand()

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
        """Writes one model; ``config`` comes from the macro ``store_in_lake``."""
        config = target_config.config
        relation = target_config.relation
        store = Store(
            table=f"{relation.schema}.{relation.identifier}",
            sql=config["sql"],
            mode=config["mode"],
            schema=self._schema(config["columns"]),
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

    def _schema(self, columns: list[dict[str, Any]]) -> pa.Schema:
        """The declared columns as Arrow: DuckDB knows what its types are there."""
        select = ", ".join(f'CAST(NULL AS {c["data_type"]}) AS "{c["name"]}"' for c in columns)
        with self.session.cursor() as cursor:
            types = cursor.sql(f"SELECT {select}").to_arrow_reader(1).schema
        return pa.schema([_field(types.field(c["name"]), c) for c in columns])


def _by_hand() -> DbtSession:
    settings = Settings()
    return DbtSession(Lake.of(settings), settings)


def _field(found: pa.Field, column: dict[str, Any]) -> pa.Field:
    required = any(constraint["type"] == "not_null" for constraint in column["constraints"])
    return pa.field(
        found.name, found.type, nullable=not required, metadata={"comment": " ".join(column["description"].split())}
    )
