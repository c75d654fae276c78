"""The settings that decide which assets there are: read when the definitions load, where the others are not."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dagster_lake.settings.lake import PROJECT_ROOT


class ProjectSettings(BaseSettings):
    """Whose contracts and models: without any of these, those of the demonstration's shop."""

    model_config = SettingsConfigDict(env_prefix="LAKE_", env_file=PROJECT_ROOT / ".env", extra="ignore")

    contracts: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Folders of *.odcs.yaml contracts, several with the path separator between them; they replace the "
        "shop's. See docs/own-project.md",
    )
    dbt_project: Path | None = Field(
        None,
        description="The folder of a dbt project, which replaces the shop's; with LAKE_CONTRACTS alone there are no "
        "models. See docs/own-project.md",
    )
    owner: str = Field(
        "team:shop",
        description="Who owns, as Dagster writes it, what is of no contract and no model, such as gold/lake_status",
    )

    @field_validator("contracts", mode="before")
    @classmethod
    def _are_folders(cls, given: Any) -> Any:
        folders = given.split(os.pathsep) if isinstance(given, str) else given
        return tuple(PROJECT_ROOT / folder for folder in folders if str(folder).strip())

    @field_validator("dbt_project")
    @classmethod
    def _from_the_project(cls, given: Path | None) -> Path | None:
        return given and PROJECT_ROOT / given

    @property
    def has_shop_contracts(self) -> bool:
        """Whether the data sets are the shop's."""
        return not self.contracts

    @property
    def has_shop_models(self) -> bool:
        """Whether the models are the shop's: they read its data sets."""
        return self.has_shop_contracts and self.dbt_project is None
