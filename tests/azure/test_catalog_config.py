"""catalog.yaml is refused with the file, the field and the remedy; nothing is guessed."""

from pathlib import Path
from typing import Any

import pytest

from dagster_lake.unity_catalog.config import DEFAULT_FILE, load_config
from dagster_lake.unity_catalog.errors import CatalogError
from tests.azure.catalog_yaml import ROOT, filled_in, write_yaml

GROUPS = filled_in()["groups"]


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in filled_in().items() if key != field}


ERRORS: list[tuple[str, object, str, str]] = [
    ("a field that is not there", filled_in(catlog="x"), "catlog", "did you mean catalog?"),
    ("a field of no name alike", filled_in(owner="x"), "owner", "remove it"),
    ("an unknown group", filled_in(groups={**GROUPS, "reader": "x"}), "groups.reader", "did you mean readers?"),
    ("no groups", without("groups"), "groups: is missing", "sensitive_readers"),
    (
        "a group that is missing",
        filled_in(groups={"readers": "a"}),
        "groups.analysts: is missing",
        "silver, streams and gold",
    ),
    (
        "a group without a name",
        filled_in(groups={**GROUPS, "readers": " "}),
        "groups.readers",
        "give the account group",
    ),
    ("one group twice", filled_in(groups={**GROUPS, "readers": "a", "analysts": "a"}), "groups: 'a'", "its own group"),
    ("a catalog that needs quoting", filled_in(catalog="Shop Dev"), "catalog: 'Shop Dev'", "lower_snake_case"),
    ("a local root", filled_in(storage_root="/data/lake"), "storage_root: '/data/lake'", "abfss://"),
    ("a root by account key", filled_in(storage_root="wasbs://a@b.blob.core.windows.net"), "storage_root", "abfss://"),
    ("no resource id", filled_in(access_connector_id="lake"), "access_connector_id: 'lake'", "accessConnectors"),
    ("a name for the principal", filled_in(step_principal="the-robot"), "step_principal", "application id"),
    ("masks left open", without("column_masks"), "column_masks: is missing", "LAKE_ENGINE=databricks"),
    ("masks said in words", filled_in(column_masks="perhaps"), "column_masks", "say true, or false"),
    ("a warehouse by its name", filled_in(warehouse_id="my warehouse"), "warehouse_id", "LAKE_DATABRICKS_WAREHOUSE_ID"),
    ("a list", ["catalog"], "not a mapping", "copy the project's catalog.yaml"),
    ("nothing", None, "is empty", "copy the project's catalog.yaml"),
]


@pytest.mark.parametrize(("document", "where", "remedy"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_what_cannot_be_used_is_refused_by_file_field_and_remedy(
    tmp_path: Path, document: object, where: str, remedy: str
) -> None:
    with pytest.raises(CatalogError) as refused:
        load_config(write_yaml(tmp_path, document))
    assert str(refused.value).startswith("catalog.yaml: ")
    assert where in str(refused.value)
    assert remedy in str(refused.value)


def test_broken_yaml_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"there is no .*--config"):
        load_config(tmp_path / "other.yaml")
    (tmp_path / "catalog.yaml").write_text("groups: {")
    with pytest.raises(CatalogError, match=r"catalog\.yaml: not valid YAML"):
        load_config(tmp_path / "catalog.yaml")


@pytest.mark.parametrize("field", ["storage_root", "access_connector_id", "step_principal"])
def test_the_examples_own_values_are_refused(tmp_path: Path, field: str) -> None:
    example = load_example()[field]
    with pytest.raises(CatalogError, match=f"{field}: .*is still the example's value"):
        load_config(write_yaml(tmp_path, filled_in(**{field: example})))


def load_example() -> dict[str, Any]:
    import yaml

    document: dict[str, Any] = yaml.safe_load(DEFAULT_FILE.read_text(encoding="utf-8"))
    return document


def test_the_example_is_right_once_it_is_filled_in(tmp_path: Path) -> None:
    config = load_config(write_yaml(tmp_path, filled_in(storage_root=f"{ROOT}/")))
    assert config.storage_root == ROOT
    assert config.groups.sensitive_readers == "shop-sensitive"
