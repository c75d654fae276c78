"""A template in which one thing was changed is told: a property, an API version, a role, a parameter, an order.

Every such change is made to a copy in memory and must break a promise. Where the team's checker of Bicep is at hand
(../shared/tools), it must tell a misspelt property, too, which needs Azure's own lists of properties.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.bicep_lakes import BICEP, broken

CHECKER = PROJECT_ROOT.parent / "shared" / "tools" / "check_bicep.py"
FILES = sorted(path.relative_to(BICEP).as_posix() for path in BICEP.rglob("*.bicep"))


def test_the_templates_as_they_are_are_not_broken() -> None:
    assert broken({}) is None


def changed(file: str, pattern: str, replacement: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(where, the file's text with one match of ``pattern`` replaced), for each match."""
    text = (BICEP / file).read_text()
    for match in re.finditer(pattern, text, re.M):
        line = text.count("\n", 0, match.start()) + 1
        new = match.expand(replacement)
        assert new != match[0]
        yield f"{file}:{line}: {match[0].strip()}", {file: text[: match.start()] + new + text[match.end() :]}


def unnoticed(file: str, pattern: str, replacement: str) -> list[str]:
    found = list(changed(file, pattern, replacement))
    return [where for where, changes in found if broken(changes) is None]


@pytest.mark.parametrize("file", FILES)
def test_another_api_version_of_any_resource_is_told(file: str) -> None:
    assert unnoticed(file, r"@\d{4}-\d\d-\d\d(-preview)?'", "@2024-02-30'") == []


@pytest.mark.parametrize("file", FILES)
def test_any_switch_the_other_way_is_told(file: str) -> None:
    described = r"^(?!\s*(?://|@description|metadata)).*\b"
    assert unnoticed(file, rf"({described})true\b", r"\1false") == []
    assert unnoticed(file, rf"({described})false\b", r"\1true") == []


def test_any_other_role_is_told() -> None:
    ids = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    for file in [*FILES, "roles.json"]:
        assert unnoticed(file, ids, owner) == [], file
    swaps = {"Contributor": "Reader", "Reader": "Contributor", "Receiver": "Sender", "Sender": "Receiver"}
    for one, other in swaps.items():
        assert unnoticed("main.bicep", rf"(role: '[\w ]+ ){one}'", rf"\1{other}'") == []


def test_a_grant_on_more_is_told() -> None:
    assert unnoticed("main.bicep", r"(?<=folders: )\[\n.*\n    \]", "[]") == []
    assert unnoticed("main.bicep", r"folders: maskedZones", "folders: []") == []
    assert unnoticed("main.bicep", r"(?<=\$\{lakePrefix\})\w+/\*", "*") == []
    assert unnoticed("modules/stream_analytics.bicep", r"stream_analytics/\*'", "*'") == []


def test_a_condition_that_forgets_an_action_is_told() -> None:
    text = (BICEP / "blobs_below.txt").read_text()
    actions = re.findall(r"blobs/([\w/]+)'", text)
    assert len(actions) == 5
    for action in actions:
        assert broken({"blobs_below.txt": text.replace(f"blobs/{action}'", "blobs/other'")}), action


def test_a_parameter_of_any_module_that_is_misspelt_is_told() -> None:
    first = r"(?<=^  params: \{\n    )(\w+)(?=: )"
    assert len(list(changed("main.bicep", first, r"\1x"))) == len(
        re.findall(r"^module ", (BICEP / "main.bicep").read_text(), re.M)
    )
    assert unnoticed("main.bicep", first, r"\1x") == []


GUARDING = (
    ("modules/storage.bicep", "'TLS1_2'", "'TLS1_0'"),
    ("modules/storage.bicep", "publicNetworkAccess: publicNetworkAccess", "publicNetworkAccess: 'Enabled'"),
    ("modules/storage.bicep", "'Deny'", "'Allow'"),
    ("modules/storage.bicep", "publicAccess: 'None'", "publicAccess: 'Blob'"),
    ("modules/storage.bicep", "daysAfterModificationGreaterThan: rule.days", "daysAfterModificationGreaterThan: 1"),
    ("modules/storage.bicep", r"\$\{rule.folder\}/", "sensitive/"),
    ("modules/ml_workspace.bicep", "'TLS1_2'", "'TLS1_1'"),
    ("modules/event_hubs.bicep", "minimumTlsVersion: '1.2'", "minimumTlsVersion: '1.0'"),
    ("modules/event_hubs.bicep", "intervalInSeconds: 300", "intervalInSeconds: 3600"),
    ("modules/event_hubs.bicep", r"\$\{one.folder\}/", "raw/"),
    ("modules/sql.bicep", "minimalTlsVersion: '1.2'", "minimalTlsVersion: '1.0'"),
    ("modules/sql.bicep", "autoPauseDelay: autoPauseMinutes", "autoPauseDelay: -1"),
    ("modules/postgresql.bicep", "passwordAuth: 'Disabled'", "passwordAuth: 'Enabled'"),
    ("modules/postgresql.bicep", "'TLSv1.2'", "'TLSv1'"),
    ("modules/key_vault.bicep", "softDeleteRetentionInDays: 90", "softDeleteRetentionInDays: 7"),
    ("modules/databricks.bicep", "'NoAzureDatabricksRules'", "'AllRules'"),
    ("modules/network.bicep", "sourceAddressPrefix: 'VirtualNetwork'", "sourceAddressPrefix: '*'"),
    ("modules/dagster.bicep", "'RedirectToLoginPage'", "'AllowAnonymous'"),
    ("modules/dagster.bicep", "maxReplicas: 1", "maxReplicas: 2"),
    ("modules/dagster.bicep", "keyVaultUrl: .*", "value: 'written-down'"),
    ("modules/policies.bicep", "value: 'Deny'", "value: 'Audit'"),
    ("main.bicep", "group: '[a-z_A-Z]+'", "group: 'other'"),
    ("main.bicep", "  'privatelink[^']*'", "  'privatelink.example.com'"),
    ("main.bicep", "threshold: 90", "threshold: 900"),
    ("names.json", '<unique>"', 'x"'),
)


@pytest.mark.parametrize(("file", "pattern", "replacement"), GUARDING, ids=lambda value: value[:40])
def test_a_property_that_guards_the_lake_is_told_when_it_is_weakened(file: str, pattern: str, replacement: str) -> None:
    places = list(changed(file, pattern, replacement))
    assert places, "nothing was changed"
    assert [where for where, changes in places if broken(changes) is None] == []


def test_a_retention_that_the_contract_does_not_say_is_told() -> None:
    rules = json.loads((BICEP / "generated" / "retention.json").read_text())
    for index, rule in enumerate(rules):
        if not rule["name"].startswith(("streamed-", "dropped-")):
            others = [*rules[:index], {**rule, "days": rule["days"] + 1}, *rules[index + 1 :]]
            assert broken({"generated/retention.json": json.dumps(others)}), rule
    for folder in ("silver/users", "sensitive/bronze/users", "landing/products", "stream_analytics", "gold", "sinks"):
        added = [*rules, {"name": "one-more", "folder": folder, "days": 30}]
        assert broken({"generated/retention.json": json.dumps(added)}), folder


FIRST = (
    ("modules/storage.bicep", "allowSharedKeyAccess", "allowSharedKeyAcces"),
    ("modules/storage.bicep", "storageAccounts@2025-06-01", "storageAccounts@2025-06-02"),
    ("modules/key_vault_access.bicep", "roleDefinitionId: secretsUser", "roleDefinitionId: secretUser"),
    ("main.bicep", "    lakeContainer: lakeContainer", "    lakeContaner: lakeContainer"),
)
"""A property, an API version, a role and a parameter."""


@pytest.mark.parametrize(("file", "old", "new"), FIRST, ids=["property", "version", "role", "parameter"])
def test_one_of_each_is_told_by_our_tests_and_by_the_checker_where_there_is_one(
    file: str, old: str, new: str, tmp_path: Path
) -> None:
    text = (BICEP / file).read_text()
    assert old in text
    assert broken({file: text.replace(old, new, 1)}) is not None
    if CHECKER.exists():
        copy = Path(shutil.copytree(BICEP, tmp_path / "bicep"))
        assert checked(copy).returncode == 0
        (copy / file).write_text(text.replace(old, new, 1))
        found = checked(copy)
        assert found.returncode == 1
        assert f"{file}:" in found.stdout


def checked(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(CHECKER), str(folder)], capture_output=True, text=True, check=False)
