"""A filled-in catalog.yaml, as the project's example says it."""

from pathlib import Path
from typing import Any

import yaml

from dagster_lake.unity_catalog.config import DEFAULT_FILE, CatalogConfig, load_config

STEP = "7f0c8f3e-52a5-4c1b-8f0d-3f1f1d1f9a10"
ROOT = "abfss://lake@shopdev.dfs.core.windows.net"


def filled_in(**changes: Any) -> dict[str, Any]:
    """The example with its placeholders replaced, and then ``changes``."""
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    text = text.replace("CHANGE_ME", "shopdev")
    text = text.replace(
        "/subscriptions/00000000-0000-0000-0000-000000000000", "/subscriptions/5d1f8a52-0c7e-4a3b-9c53-2f8f0e6f1b11"
    )
    text = text.replace("step_principal: 00000000-0000-0000-0000-000000000000", f"step_principal: {STEP}")
    document: dict[str, Any] = yaml.safe_load(text)
    return {**document, **changes}


def write_yaml(folder: Path, document: object) -> Path:
    """The document as ``folder/catalog.yaml``."""
    file = folder / "catalog.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def config(folder: Path, **changes: Any) -> CatalogConfig:
    """The example, filled in and read."""
    return load_config(write_yaml(folder, filled_in(**changes)))
