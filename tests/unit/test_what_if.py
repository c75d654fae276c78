"""Azure's what-if, read: where each change is, and what is no change."""

from typing import Any

import pytest

from dagster_lake.deploy.what_if import Change, Difference, _change

GROUP = "/subscriptions/1/resourceGroups/rg-shop-dev-data"


def change(resource_id: str, kind: str = "Create", **more: Any) -> Change | None:
    return _change({"resourceId": resource_id, "changeType": kind, **more})


@pytest.mark.parametrize(
    ("resource_id", "group", "type_", "name"),
    [
        (GROUP, "rg-shop-dev-data", "resource group", "rg-shop-dev-data"),
        (
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/st/blobServices/default/containers/lake",
            "rg-shop-dev-data",
            "Microsoft.Storage/storageAccounts/blobServices/containers",
            "st/default/lake",
        ),
        (
            f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv/providers/Microsoft.Insights/diagnosticSettings/logs",
            "rg-shop-dev-data",
            "Microsoft.Insights/diagnosticSettings",
            "kv/logs",
        ),
        (
            "/subscriptions/1/providers/Microsoft.Consumption/budgets/all",
            "the subscription",
            "Microsoft.Consumption/budgets",
            "all",
        ),
        (
            f"{GROUP}/providers/Microsoft.Authorization/policyAssignments/tls",
            "rg-shop-dev-data",
            "Microsoft.Authorization/policyAssignments",
            "tls",
        ),
    ],
)
def test_a_change_is_placed_by_its_id(resource_id: str, group: str, type_: str, name: str) -> None:
    assert change(resource_id) == Change("+", group, type_, name)


def test_a_resource_whose_id_is_not_known_yet_is_named_by_its_expression() -> None:
    found = change("[resourceId('Microsoft.X/y', reference('z'))]", "Unsupported")
    assert found == Change("?", "the subscription", "a resource", "[resourceId('Microsoft.X/y', reference('z'))]")


@pytest.mark.parametrize("kind", ["NoChange", "Ignore"])
def test_what_stays_is_no_change(kind: str) -> None:
    assert change(GROUP, kind) is None


def test_what_has_no_effect_is_no_change() -> None:
    nothing = {"path": "properties.x", "propertyChangeType": "NoEffect", "before": None, "after": 1}
    assert change(GROUP, "Modify", delta=[nothing]) is None
    assert change(GROUP, "Modify", delta=[{**nothing, "propertyChangeType": "Create"}, nothing]) == Change(
        "~", *("rg-shop-dev-data", "resource group", "rg-shop-dev-data"), (Difference("properties.x", None, 1),)
    )


def test_differences_within_differences_have_their_whole_path() -> None:
    leaf = {"path": "name", "propertyChangeType": "Modify", "before": "a", "after": "b", "children": None}
    item = {"path": "0", "propertyChangeType": "Modify", "before": None, "after": None, "children": [leaf]}
    array = {"path": "properties.rules", "propertyChangeType": "Array", "children": [item]}
    found = change(GROUP, "Modify", delta=[array])
    assert found is not None
    assert found.differences == (Difference("properties.rules[0].name", "a", "b"),)


def test_what_azure_cannot_tell_says_why() -> None:
    found = change(GROUP, "Unsupported", unsupportedReason="It refers to another resource.")
    assert found is not None
    assert (found.sign, found.why_unknown) == ("?", "It refers to another resource.")
