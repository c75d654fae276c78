"""Every setting of the lake, one object, read when a resource or a command starts and never at import."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dagster_lake.lake_hour import hour_key, parse_hour
from dagster_lake.settings.branches import NAME, branch_catalog, branch_root
from dagster_lake.settings.channel_names import CHANNEL_NAME, DEFAULT_CHANNEL
from dagster_lake.settings.databricks import DatabricksSettings

_BESIDE_THE_PACKAGE = Path(__file__).resolve().parents[2]
_IN_CHECKOUT = (_BESIDE_THE_PACKAGE / "pyproject.toml").is_file()

PROJECT_ROOT = _BESIDE_THE_PACKAGE if _IN_CHECKOUT else Path.cwd()
"""Where the lake, Dagster's history and ``.env`` are by default: the checkout, or, installed from a wheel, the folder
that one works in."""

DBT_PROJECT = PROJECT_ROOT / "dbt" if _IN_CHECKOUT else Path(__file__).parents[1] / "dbt_project"
"""The shop's dbt project, which a wheel carries inside the package and which is only read. Its macros and profiles
serve other projects too."""

DBT_TARGET = DBT_PROJECT / "target" if _IN_CHECKOUT else PROJECT_ROOT / ".dagster" / "dbt"
"""Where dbt's working files go; a wheel is installed where nobody should write."""


class Settings(BaseSettings):
    """Settings, each read from the environment as ``LAKE_<NAME>`` or from a ``.env`` file at the project root."""

    model_config = SettingsConfigDict(
        env_prefix="LAKE_",
        env_file=PROJECT_ROOT / ".env",
        extra="ignore",
        hide_input_in_errors=True,  # it may be a secret
    )

    root: str = Field(str(PROJECT_ROOT / ".lake"), description="The lake's folder, or a URL such as abfss://...")
    branch: str | None = Field(
        None,
        pattern=NAME,
        description="A lake apart, such as a pull request's: below branches/ of the root, and with a catalog of its "
        "own; see docs/delivery.md",
    )
    sources: Path | None = Field(
        None,
        description="The local folder of the embedded source systems; by default sources/ in a local lake, and "
        ".lake-sources in the project for a remote one",
    )
    first_hour: str | None = Field(
        None,
        description="The first lake hour, as 2021-12-01T00; the lake keeps it and it only moves back. By default "
        "2026-01-01T00, or what the lake keeps",
    )
    azure_account: str | None = Field(
        None, pattern=r"^[a-z0-9]{3,24}$", description="The storage account, where an az:// root does not name it"
    )
    azure_account_key: SecretStr | None = Field(None, description="The storage account's key")
    azure_sas: SecretStr | None = Field(
        None, description="A shared access signature; with neither it nor a key, DefaultAzureCredential is used"
    )
    azure_endpoint: str | None = Field(
        None, pattern=r"^https?://", description="The blob endpoint where it is not Azure's own, as Azurite's"
    )
    database_url: str | None = Field(
        None, description="The SQL source, as a SQLAlchemy URL; by default a SQLite file inside the lake's sources"
    )
    sink_database_url: SecretStr | None = Field(
        None,
        description="The database of the sinks that are tables, as a SQLAlchemy URL; by default a SQLite file in a "
        "local lake. See docs/sinks.md",
    )
    event_hubs: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
        description="The Azure Event Hubs namespace, as shop.servicebus.windows.net; by default the embedded event hub",
    )
    event_hubs_connection: SecretStr | None = Field(
        None, description="Instead of the namespace's name, its connection string; without it, DefaultAzureCredential"
    )
    event_hubs_consumer_group: str = Field("$Default", description="The consumer group that events are read in")
    engine: Literal["duckdb", "spark", "databricks"] = Field(
        "duckdb", description="What computes: duckdb in this process, spark in a local JVM, or databricks"
    )
    landing: Literal["copy", "auto_loader"] = Field(
        "copy", description="How files and events come into raw: copied by Dagster, or by Auto Loader on Databricks"
    )
    landing_job: str = Field("lake-ingest", description="The Databricks job that lands by Auto Loader, by its name")
    threads: int = Field(0, ge=0, description="DuckDB threads; 0 takes every core")
    memory_limit: str = Field("2GB", description="DuckDB's memory limit; what is larger spills to disk")
    spark_memory: str = Field("2g", description="Memory of the local Spark's JVM, as Java writes it: 2g, 800m")
    spark_jars: str | None = Field(
        None, description="A folder that holds the Delta jars, where they cannot be fetched; docs/engines.md says which"
    )
    catalog: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Unity Catalog's catalog: Spark then addresses tables by name there, not by path",
    )
    databricks: DatabricksSettings = Field(
        default_factory=lambda: DatabricksSettings(_env_file=PROJECT_ROOT / ".env"),
        description="Databricks' own settings, LAKE_DATABRICKS_*; see docs/databricks.md",
    )
    pii_key: SecretStr | None = Field(
        None, description="The masking key (32 bytes or more); by default one is made and kept beside the lake"
    )
    pii_key_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]{1,32}$", description="Names the masking key; stored with each masked value"
    )

    stream_seconds: int = Field(
        15, ge=15, description="While events arrive, the streams of the current hour are computed again after this long"
    )
    alert_webhook: SecretStr | None = Field(
        None, description="The address that alerts are posted to as JSON; see docs/alerts.md. By default none"
    )
    alert_channels: Annotated[dict[str, SecretStr], NoDecode] = Field(
        {},
        description="Addresses of further channels, as JSON: each by the name that contracts and streams give it; see "
        "docs/alerts.md",
    )
    alert_signing_key: SecretStr | None = Field(
        None, description="A secret by which each post to the webhook is signed; see docs/alerts.md. By default none"
    )
    alert_max_age_minutes: int = Field(
        60,
        ge=1,
        le=24 * 60,
        description="Alerts of older events are noted, as in a backfill, but not sent; a day at most",
    )
    stream_analytics: bool = Field(
        False,
        description="Stream Analytics computes the streams too: it gets reference data, and must write results",
    )

    retry_seconds: float = Field(
        4.0, ge=0, description="A step that failed runs again after so many seconds, then twice and four times as many"
    )
    reconcile_days: int = Field(
        7, ge=1, le=366, description="The daily reconciliation looks this far back for rows that never landed"
    )
    metrics: bool = Field(
        False, description="Prints the metrics of each run as lines of JSON, for a log service; see docs/operations.md"
    )
    history_days: int = Field(
        7, ge=3, description="Dagster's runs older than this go when their work was done again, and the others' logs"
    )

    seed: int = Field(42, description="Seed of the generated sources")
    users: int = Field(1000, ge=1, description="Generated users")
    vip_users: int = Field(50, ge=0, description="Generated VIP users")
    products: int = Field(200, ge=1, description="Generated products")
    orders_per_hour: int = Field(40, ge=0, description="Generated orders an hour, averaged over a week")
    pageviews_per_hour: int = Field(1200, ge=0, description="Generated pageviews an hour, averaged over a week")
    dirt: Literal["none", "default", "heavy"] = Field("default", description="How dirty the generated data is")

    @field_validator("first_hour")
    @classmethod
    def _is_an_hour(cls, key: str | None) -> str | None:
        return key and hour_key(parse_hour(key))

    @field_validator("alert_channels", mode="before")
    @classmethod
    def _are_channels(cls, given: Any) -> Any:
        if isinstance(given, str):
            try:
                given = json.loads(given or "{}")
            except ValueError:
                given = None
        if not isinstance(given, dict) or not all(isinstance(address, str | SecretStr) for address in given.values()):
            raise ValueError('is no JSON object of names and addresses; write it as {"night": "https://..."}')
        for name in given:
            if not CHANNEL_NAME.fullmatch(name):
                raise ValueError("names a channel with other characters than letters, digits and # _ . -")
        return given

    @model_validator(mode="after")
    def _one_default_channel(self) -> "Settings":
        if self.alert_webhook is not None and DEFAULT_CHANNEL in self.alert_channels:
            raise ValueError("LAKE_ALERT_WEBHOOK and LAKE_ALERT_CHANNELS both give the default channel; remove one")
        return self

    @model_validator(mode="after")
    def _of_the_branch(self) -> "Settings":
        if self.branch:
            self.root = branch_root(self.root, self.branch)
            self.catalog = self.catalog and branch_catalog(self.catalog, self.branch)
        return self
