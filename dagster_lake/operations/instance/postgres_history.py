"""Dagster's history of runs in PostgreSQL, over connections that are kept.

Stock Dagster opens a connection for each of several queries of each event, and closes it again. With encryption and a
password that takes ten times as long as the queries: more, for an hour of the lake, than the work itself.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres.auth import PgTokenProvider
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
    set_pg_statement_timeout,
)
from sqlalchemy import Engine, event

_pools: dict[str, Engine] = {}
"""The connections of this process, by the database's address: each sensor's look opens the instance anew."""


class PostgresHistory(DagsterPostgresStorage):
    """Stock PostgreSQL storage, whose three parts, in all instances of a process, share a few connections.

    One that was cut (a restart of the server, a firewall) is noticed and made again. A token in place of a password is
    asked for when a connection is made, and renewed five minutes before it ends; see ``auth_provider`` in dagster.yaml.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: PgTokenProvider | None = None,
    ) -> None:
        first = postgres_url not in _pools
        super().__init__(postgres_url, should_autocreate_tables and first, inst_data, token_provider)
        if first:
            _pools[postgres_url] = create_pg_engine(
                postgres_url,
                token_provider,
                isolation_level="AUTOCOMMIT",
                pool_size=5,
                max_overflow=15,
                pool_pre_ping=True,
                pool_recycle=1800,
            )
        pool = _pools[postgres_url]
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = pool
            # Stock storage would take a pool of its own here, which hands out connections that were cut.
            part.optimize_for_webserver = lambda statement_timeout, **_: _limit_queries(pool, statement_timeout)  # type: ignore[method-assign]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The storage that dagster.yaml asks for."""
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )


@cache
def _limit_queries(pool: Engine, milliseconds: int) -> None:
    """Lets no query take longer, on any connection from now on."""
    event.listen(pool, "connect", lambda connection, _: set_pg_statement_timeout(connection, milliseconds))
    pool.dispose()
