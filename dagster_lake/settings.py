"""Every setting of the lake, one object, read when a resource or a command starts and never at import."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """Settings, each read from the environment as ``LAKE_<NAME>`` or from a ``.env`` file at the project root."""

    model_config = SettingsConfigDict(env_prefix="LAKE_", env_file=PROJECT_ROOT / ".env", extra="ignore")

    root: str = Field(str(PROJECT_ROOT / ".lake"), description="The lake's folder, or a URL such as abfss://...")
    database_url: str | None = Field(
        None, description="The SQL source, as a SQLAlchemy URL; by default a SQLite file inside the lake's sources"
    )
    engine: Literal["duckdb", "spark", "databricks"] = Field(
        "duckdb", description="What computes: duckdb in this process, spark in a local JVM, or databricks"
    )
    threads: int = Field(0, ge=0, description="DuckDB threads; 0 takes every core")
    memory_limit: str = Field("2GB", description="DuckDB's memory limit; what is larger spills to disk")
    pii_key: SecretStr | None = Field(
        None, description="The masking key (32 bytes or more); by default one is made and kept beside the lake"
    )
    pii_key_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]{1,32}$", description="Names the masking key; stored with each masked value"
    )

    seed: int = Field(42, description="Seed of the generated sources")
    users: int = Field(1000, ge=1, description="Generated users")
    vip_users: int = Field(50, ge=0, description="Generated VIP users")
    products: int = Field(200, ge=1, description="Generated products")
    orders_per_hour: int = Field(40, ge=0, description="Generated orders an hour, averaged over a week")
    pageviews_per_hour: int = Field(1200, ge=0, description="Generated pageviews an hour, averaged over a week")
    dirt: Literal["none", "default", "heavy"] = Field("default", description="How dirty the generated data is")
