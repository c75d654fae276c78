"""What OpenLineage calls the lake's data: a namespace and a name, as its naming rules say.

| data | namespace | name |
|---|---|---|
| in ADLS Gen2 | ``abfss://<container>@<account>.dfs.core.windows.net`` | the folder or file |
| on this machine | ``file`` | the absolute path |
| a hub of Azure Event Hubs | ``kafka://<namespace>:9093``, its Kafka address | the hub |
| a table in PostgreSQL | ``postgres://<host>:<port>`` | ``<database>.<schema>.<table>`` |
| a table in SQLite, for which there is no rule | ``sqlite`` | ``<absolute path>/<table>`` |
"""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
from upath import UPath

from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource, FileSource
from dagster_lake.landing.hubs import captured_hub
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.choice import database_url
from dagster_lake.storage.adls.path import AdlsPath
from dagster_lake.storage.paths import LAYERS, Lake, local_path
from dagster_lake.storage.tables import silver_name

_KAFKA_PORT = 9093
_POSTGRESQL_PORT = 5432
_IN_CLEAR = ("bronze", "quarantine")
OTHERS = "dagster"
"""The namespace of assets that are no data of the lake, such as a job of Databricks'."""


@dataclass(frozen=True)
class DatasetName:
    """Where data is, and what it is called there; both together are its identity everywhere."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Names:
    """Names the data of one lake. Nothing is read or written."""

    lake: Lake
    settings: Settings
    contracts: Mapping[str, Contract]

    def of(self, key: dg.AssetKey) -> DatasetName:
        """The data that an asset is."""
        layer, name = key.path[0], key.path[-1]
        contract = self._contract(name)
        if layer == "sources" and contract is not None:
            return self.source_of(contract)
        if layer == "raw" and contract is not None:
            return of_path(self.lake.raw(name, sensitive=contract.sensitive))
        if layer in LAYERS:
            in_clear = layer in _IN_CLEAR and contract is not None and contract.sensitive
            return of_path(self.lake.table(layer, name, sensitive=in_clear))
        if layer == "sinks":
            return self._sink(key.path[1], name)
        if layer == "reports":
            return of_path(self.lake.reports / f"{name}.html")
        return DatasetName(OTHERS, key.to_user_string())

    def source_of(self, contract: Contract) -> DatasetName:
        """The data outside the lake that a data set's raw is landed from."""
        match contract.source:
            case FileSource():
                return of_path(self.lake.landing(contract.name))
            case EventHubSource(hub=hub):
                captured = captured_hub(contract, self.lake)
                return self._hub(hub) if captured is None else of_path(captured.folder)
            case DatabaseSource(table=table):
                return _database_table(database_url(self.settings, self.lake), table)

    def landed_by(self, key: dg.AssetKey) -> DatasetName | None:
        """The source that the asset lands, if it is raw of a data set."""
        contract = self._contract(key.path[-1])
        return self.source_of(contract) if key.path[0] == "raw" and contract is not None else None

    def _sink(self, kind: str, name: str) -> DatasetName:
        """What a sink of a stream fills."""
        if kind == "files":
            return of_path(self.lake.drop(name))
        if kind == "event_hub":
            return self._hub(name)
        from dagster_lake.streams.sinks.database_system import own_database

        named = self.settings.sink_database_url
        if named is None and isinstance(self.lake.root, AdlsPath):
            return DatasetName(OTHERS, f"sinks/{kind}/{name}")  # there is none
        return _database_table(
            f"sqlite:///{own_database(self.lake)}" if named is None else named.get_secret_value(), name
        )

    def in_catalog(self, key: dg.AssetKey) -> str | None:
        """The name in Unity Catalog, ``<catalog>.<schema>.<table>``; None of what it does not hold."""
        layer, name = key.path[0], key.path[-1]
        if self.settings.catalog is None or layer not in LAYERS:
            return None
        contract = self._contract(name)
        in_clear = layer in _IN_CLEAR and contract is not None and contract.sensitive
        return f"{self.settings.catalog}.{f'sensitive.{layer}_{name}' if in_clear else f'{layer}.{name}'}"

    def _contract(self, name: str) -> Contract | None:
        by_table = {silver_name(contract): contract for contract in self.contracts.values()}
        return self.contracts.get(name) or by_table.get(name)

    def _hub(self, hub: str) -> DatasetName:
        if (namespace := _hubs_namespace(self.settings)) is not None:
            return DatasetName(f"kafka://{namespace}:{_KAFKA_PORT}", hub)
        return of_path(UPath(self.lake.sources / "event_hub" / hub))


def of_path(path: UPath) -> DatasetName:
    """A file or folder of the lake."""
    if isinstance(path, AdlsPath):
        namespace, _, name = str(path).removeprefix("abfss://").partition("/")
        return DatasetName(f"abfss://{namespace}", name.rstrip("/"))
    return DatasetName("file", str(local_path(path).absolute()))


def _hubs_namespace(settings: Settings) -> str | None:
    if settings.event_hubs_connection is None:
        return settings.event_hubs
    connection = settings.event_hubs_connection.get_secret_value()
    endpoint = next((part for part in connection.split(";") if part.startswith("Endpoint=")), "")
    return endpoint.removeprefix("Endpoint=").removeprefix("sb://").strip("/") or None


def _database_table(url: str, table: str) -> DatasetName:
    from sqlalchemy import make_url

    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return DatasetName("sqlite", f"{UPath(address.database or '').absolute()}/{table}")
    whole = table if "." in table else f"public.{table}"
    return DatasetName(f"postgres://{address.host}:{address.port or _POSTGRESQL_PORT}", f"{address.database}.{whole}")
