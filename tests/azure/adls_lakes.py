"""A small lake in Azurite, built and read back as ``tests.lake.lakes`` does a local one."""

from dataclasses import dataclass, field
from functools import cached_property

from deltalake import DeltaTable

from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.blobs import list_blobs
from dagster_lake.storage.adls.options import adls_root, delta_options
from tests.azure.azurite import ACCOUNT, KEY, Azurite
from tests.lake.lakes import Row, TestLake


def adls_settings(azurite: Azurite, container: str, **own: object) -> Settings:
    """The settings of a lake in ``container``, with the account's key unless ``own`` says otherwise."""
    values = {
        "root": f"abfss://{container}@{ACCOUNT}.dfs.core.windows.net/lake",
        "azure_endpoint": azurite.endpoint,
        "azure_account_key": KEY,
        **own,
    }
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


@dataclass
class AdlsLake(TestLake):
    """A lake in a container of Azurite; ``root`` is the local folder of its sources."""

    azurite: Azurite = field(kw_only=True)
    container: str = field(kw_only=True)
    sas: str | None = field(kw_only=True, default=None)

    @property
    def url(self) -> str:
        """The lake's address."""
        return f"abfss://{self.container}@{ACCOUNT}.dfs.core.windows.net/lake"

    @property
    def environment(self) -> dict[str, str]:
        """The ``LAKE_*`` variables that make a process use this lake."""
        secret = {"LAKE_AZURE_SAS": self.sas} if self.sas else {"LAKE_AZURE_ACCOUNT_KEY": KEY}
        own = {"LAKE_ROOT": self.url, "LAKE_SOURCES": str(self.root), "LAKE_AZURE_ENDPOINT": self.azurite.endpoint}
        return {**super().environment, **own, **secret}

    @cached_property
    def resource(self) -> LakeResource:
        """The lake as assets get it."""
        with self.here():
            resource = LakeResource()
            assert resource.settings.root == self.url
            return resource

    def content(self) -> dict[str, list[Row]]:
        """Every row of every table, by the table's folder."""
        root = adls_root(adls_settings(self.azurite, self.container))
        logs = {blob.path.parent for blob in list_blobs(root) if blob.path.parent.name == "_delta_log"}
        found = {}
        for table in sorted((log.parent for log in logs), key=str):
            rows = DeltaTable(str(table), storage_options=delta_options(table)).to_pyarrow_table().to_pylist()
            found[str(table).removeprefix(f"{root}/")] = sorted(rows, key=repr)
        return found
