"""lake.yaml: what it takes, and how it says what is wrong: file, line, field, remedy."""

import re
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from dagster_lake.deploy.errors import DeployError
from dagster_lake.deploy.lake_file import DEFAULT_FILE, STAGES, Sizes, Stage, load_lake_file
from dagster_lake.deploy.parameters import (
    RUNS_AT_ONCE,
    check_parameters,
    fingerprint,
    memory_limit,
    parameters,
    parameters_file,
)
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from tests.azure.lake_yaml import write_lake_yaml

SERVICES = "    # services:"
IMAGE = "dagster-lake@sha256:" + "0" * 64


def refused(folder: Path, *changes: tuple[str, str]) -> str:
    with pytest.raises(DeployError) as caught:
        read(folder, *changes)
    return str(caught.value)


def read(folder: Path, *changes: tuple[str, str]) -> dict[str, Any]:
    """The parameters of dev, checked."""
    values = parameters(load_lake_file(write_lake_yaml(folder, *changes), "dev"), "dev")
    check_parameters(values, "dev")
    return values


def dev(line: str) -> tuple[str, str]:
    """One more line for dev, before what is commented out there."""
    return SERVICES, f"    {line}\n{SERVICES}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("region: westeurope", "region: West Europe"),
            "6: region: 'West Europe' is not of the form wanted; name an A",
        ),
        (
            ("domain: shop", "domain: Shop"),
            "5: domain: 'Shop' is not of the form wanted; name the business domain in 3",
        ),
        (("domain: shop", "domain: webshops2"), "5: domain: 'webshops2' is not of the form wanted"),
        (("cost_centre:", "cost_center:"), "9: cost_center: is not a field; did you mean cost_centre?"),
        (("owner: somebody", "secret: x"), "8: secret: is not a field; remove it; the fields are domain, region"),
        (
            ("owner: somebody", "owner: CHANGE_ME"),
            "8: owner: 'CHANGE_ME' is still the example's value; say who answers",
        ),
        (
            ("monthly_budget: 300", "monthly_budget: 0"),
            "16: environments.dev.monthly_budget: 0: Input should be greater",
        ),
        (("2026-12-01", "2026-12-24"), "17: environments.dev.budget_start: 2026-12-24 is not the first day of a month"),
        (
            ("lake@example.com", "lake"),
            "15: environments.dev.contacts.0: 'lake' is not of the form wanted; give e-mail",
        ),
        (dev("sizes: {cores: 0.3}"), "27: environments.dev.sizes.cores: 0.3 is not a number of quarter cores; give"),
        (dev("sizes: {core: 1}"), "27: environments.dev.sizes.core: is not a field; did you mean cores?"),
        (
            dev("sizes: {streaming_units: 5}"),
            "streaming_units: 5 is not one of them; give Stream Analytics one of 3, 7",
        ),
        (dev("sizes: {postgresql_size: huge}"), "sizes.postgresql_size: 'huge' is not of the form wanted; give a size"),
        (
            dev("sizes: {throughput_units: 3, maximum_throughput_units: 2}"),
            "environments.dev.sizes: maximum_throughput_units 2 is less than throughput_units 3",
        ),
        (dev("services: {sql: perhaps}"), "environments.dev.services.sql: 'perhaps': Input should be a valid boolean"),
        (dev("dagster_image: dagster-lake:latest"), "dagster_image: 'dagster-lake:latest' is not of the form wanted; "),
        (dev("address_prefix: '8.8'"), "address_prefix: '8.8' is not the beginning of private addresses; give the fir"),
        (dev("address_prefix: '300.1'"), "address_prefix: '300.1' is not the beginning of private addresses"),
        (
            dev("settings: {LAKE_API_TOKEN: x}"),
            "settings has LAKE_API_TOKEN, which holds a secret; put it into secret_s",
        ),
        (dev("settings: {lake_x: a}"), "environments.dev.settings.lake_x: 'lake_x' is not of the form wanted"),
        (
            dev("secret_settings: {LAKE_A: a_b}"),
            "secret_settings.LAKE_A: what is given is not of the form wanted; name",
        ),
        (
            dev("settings: {LAKE_A: a}\n    secret_settings: {LAKE_A: a}"),
            "LAKE_A is in settings and in secret_settings",
        ),
        (
            dev("secret_settings: {LAKE_A: a, LAKE_B: a}"),
            "secret_settings takes the secret a for two settings; give each",
        ),
        (dev("secret_settings: {LAKE_A: pii-key}"), "secret_settings takes the secret pii-key for two settings"),
        (dev(f"masking_key_id: {'k' * 33}"), "environments.dev.masking_key_id: 'kkkkk"),
        (dev("engine: databricks\n    services: {databricks: false}"), "engine is databricks, and services.databricks"),
        (dev("settings: {LAKE_ROOT: .lake}"), "lake.yaml: LAKE_ROOT is set by infra/bicep itself; remove it"),
        (("  dev:", "  development:"), "lake.yaml: environments.development: there are only dev, test, prod"),
        (("environments:", "environment:"), "lake.yaml: has no mapping named environments; copy the project's"),
        (("domain: shop", "domain: {shop"), "lake.yaml: not valid YAML: "),
    ],
    ids=lambda value: value[-1][-40:] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_with_its_place_and_the_remedy(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    assert told in refused(tmp_path, change)


def test_no_secret_of_the_lake_can_be_given_as_a_plain_setting(tmp_path: Path) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)]
    assert {"pii_key", "azure_sas", "alert_webhook"} <= {*secrets}
    for name in secrets:
        told = refused(tmp_path, dev(f"settings: {{LAKE_{name.upper()}: x}}"))
        assert f"settings has LAKE_{name.upper()}, which holds a secret; put it into secret_settings" in told


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    told = refused(tmp_path, dev("sizes:\n      log_days: 60\n      partitions: 99"))
    line = int(re.findall(r"^lake\.yaml:(\d+): environments\.dev\.sizes\.partitions: 99: ", told)[0])
    assert "partitions: 99" in (tmp_path / "lake.yaml").read_text().splitlines()[line - 1]


@pytest.mark.parametrize("stage", STAGES)
def test_the_example_is_refused_until_it_is_filled_in(stage: Any) -> None:
    with pytest.raises(DeployError, match=r"lake\.yaml:7: tenant: .* is still the example's value; give the Entra"):
        load_lake_file(DEFAULT_FILE, stage)


def test_every_placeholder_of_the_example_is_refused(tmp_path: Path) -> None:
    """Filled in but for one, for each."""
    example, filled = DEFAULT_FILE.read_text().splitlines(), write_lake_yaml(tmp_path).read_text().splitlines()
    places = [
        i for i, (a, b) in enumerate(zip(example, filled, strict=True)) if a != b and not a.strip().startswith("#")
    ]
    assert len(places) == 3 + 3 * 5
    for place in places:
        stage = next((name for name in reversed(STAGES) if place > filled.index(f"  {name}:")), STAGES[0])
        one_left = [*filled[:place], example[place], *filled[place + 1 :]]
        (tmp_path / "lake.yaml").write_text("\n".join(one_left))
        with pytest.raises(DeployError, match=rf"lake\.yaml:{place + 1}: .* is still the example's value"):
            load_lake_file(tmp_path / "lake.yaml", stage)


def test_prod_is_not_given_a_database_without_a_standby(tmp_path: Path) -> None:
    file = write_lake_yaml(tmp_path)
    file.write_text(f"{file.read_text()}    sizes: {{postgresql_size: Standard_B2s}}\n")
    with pytest.raises(DeployError, match=r"postgresql_size Standard_B2s has no standby, and prod has one"):
        load_lake_file(file, "prod")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"there is no .*lake\.yaml; copy the project's lake\.yaml"):
        load_lake_file(tmp_path / "lake.yaml", "dev")


def test_what_is_left_out_stays_with_the_environments_own_file(tmp_path: Path) -> None:
    values = read(tmp_path)
    assert "cores" not in values
    assert "deploySql" not in values
    assert values["dagsterImage"] == values["signInClientId"] == ""
    assert values["maskingKeyId"] == "shop-dev-1"
    assert values["budgetStart"] == "2026-12-01"


def test_what_is_said_becomes_the_parameters_of_the_templates(tmp_path: Path) -> None:
    values = read(
        tmp_path,
        dev(
            "sizes: {cores: 1.5, postgresql_size: Standard_E2ds_v5, daily_log_quota_gb: 3}\n    services: {sql: true}\n"
            f"    dagster_image: {IMAGE}\n    masking_key_id: k2\n    settings: {{LAKE_MEMORY_LIMIT: 3GB}}\n"
            "    secret_settings: {LAKE_DATABASE_URL: database-url}\n    address_prefix: '172.16'"
        ),
    )
    said = {
        "cores": "1.5",
        "memory": "3Gi",
        "postgresqlSize": "Standard_E2ds_v5",
        "postgresqlTier": "MemoryOptimized",
        "dailyLogQuotaGb": 3,
        "deploySql": True,
        "dagsterImage": IMAGE,
        "maskingKeyId": "k2",
        "settings": [{"name": "LAKE_MEMORY_LIMIT", "value": "3GB"}],
        "secretSettings": [{"name": "LAKE_DATABASE_URL", "secret": "database-url"}],
        "addressPrefix": "172.16",
    }
    assert {name: values[name] for name in said} == said


@pytest.mark.parametrize("stage", STAGES)
def test_as_many_runs_as_there_may_be_fit_into_the_code_location(tmp_path: Path, stage: Stage) -> None:
    values = parameters(load_lake_file(write_lake_yaml(tmp_path), stage), stage)
    [limit] = [one["value"] for one in values["settings"] if one["name"] == "LAKE_MEMORY_LIMIT"]
    [memory] = re.findall(r"\?\? '(\d+)Gi'", parameters_file(stage).read_text())
    instance = yaml.safe_load((PROJECT_ROOT / "deploy" / "azure" / "dagster.yaml").read_text())
    assert instance["concurrency"]["runs"]["max_concurrent_runs"] == RUNS_AT_ONCE
    duckdb.connect(config={"memory_limit": limit}).close()
    taken = 300 + RUNS_AT_ONCE * (400 + int(limit.removesuffix("MiB")))
    assert 0.9 * int(memory) * 1024 < taken < int(memory) * 1024


def test_the_memory_limit_follows_the_cores_and_one_that_is_said_wins(tmp_path: Path) -> None:
    def given(line: str) -> list[dict[str, str]]:
        return [one for one in read(tmp_path, dev(line))["settings"] if one["name"] == "LAKE_MEMORY_LIMIT"]

    assert given("sizes: {cores: 1}") == [{"name": "LAKE_MEMORY_LIMIT", "value": "426MiB"}]
    assert given("sizes: {cores: 4}") == [{"name": "LAKE_MEMORY_LIMIT", "value": "3191MiB"}]
    assert given("settings: {LAKE_MEMORY_LIMIT: 3GB}") == [{"name": "LAKE_MEMORY_LIMIT", "value": "3GB"}]
    assert given("secret_settings: {LAKE_MEMORY_LIMIT: limit}") == []
    assert "27: environments.dev.sizes.cores: 0.5: Input should be greater than or equal to 1" in refused(
        tmp_path, dev("sizes: {cores: 0.5}")
    )


def test_the_memory_of_a_changed_parameters_file_counts_and_must_hold_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parameters_file("dev").read_text()
    monkeypatch.setattr(
        "dagster_lake.deploy.parameters.parameters_file", lambda stage: tmp_path / f"{stage}.bicepparam"
    )

    def with_memory(value: str) -> str:
        (tmp_path / "dev.bicepparam").write_text(whole.replace("yours.?memory ?? '2Gi'", value))
        return memory_limit(None, "dev")

    assert with_memory("yours.?memory ?? '4Gi'") == with_memory("'4Gi'") == "1348MiB"
    with pytest.raises(DeployError, match=r"dev\.bicepparam: 1 GB of memory hold no 2 runs at once; give the code"):
        with_memory("yours.?memory ?? '1Gi'")
    with pytest.raises(DeployError, match=r"dev\.bicepparam: memory is to be a number of Gi, such as '4Gi'"):
        with_memory("other")
    assert memory_limit(2, "prod") == "1348MiB"  # without a look at the file


def test_everything_that_can_be_said_is_read_by_every_parameters_file(tmp_path: Path) -> None:
    whole = dict.fromkeys(Sizes.model_fields, 1) | {
        "cores": 1,
        "postgresql_size": "Standard_D2ds_v5",
        "postgresql_storage_gb": 64,
        "machine_size": "Standard_D4ds_v5",
        "partitions": 4,
        "streaming_units": 3,
        "log_days": 30,
    }
    sizes = ", ".join(f"{name}: {value}" for name, value in whole.items())
    services = "databricks: true, stream_analytics: true, sql: true, data_factory: true, machine_learning: true"
    values = read(
        tmp_path,
        dev(
            f"sizes: {{{sizes}}}\n    services: {{{services}, purview: true}}\n    engine: duckdb\n"
            "    lake_folder: a/b\n    address_prefix: '10.1'"
        ),
    )
    for stage in STAGES:
        check_parameters(values, stage)
        read_there = set(re.findall(r"\byours\.\??(\w+)", parameters_file(stage).read_text()))
        assert read_there == set(values)


def test_a_parameters_file_that_does_not_fit_the_template_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = read(tmp_path)
    whole = parameters_file("dev").read_text()
    (tmp_path / "dev.bicepparam").write_text(whole)
    monkeypatch.setattr(
        "dagster_lake.deploy.parameters.parameters_file", lambda stage: tmp_path / f"{stage}.bicepparam"
    )
    for old, new, told in (
        ("param generators = true", "", "dev.bicepparam: gives no generators, which main.bicep wants; add it"),
        ("param generators", "param other = 1\nparam generators", "gives other, which main.bicep does not declare"),
        ("yours.owner", "'me'", "does not read yours.owner, which lake.yaml gives; read it there"),
        (
            "yours.owner",
            "yours.owner\nparam logDays = yours.days",
            "reads yours.days, which lake.yaml has no field for",
        ),
    ):
        (tmp_path / "dev.bicepparam").write_text(whole.replace(old, new))
        with pytest.raises(DeployError, match=re.escape(told)):
            check_parameters(values, "dev")
    with pytest.raises(DeployError, match=r"there is no .*test\.bicepparam; lake deploy runs in a checkout"):
        check_parameters(values, "test")


def test_a_value_of_another_type_than_the_template_declares_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"monthlyBudget would be '300', and main\.bicep wants a int"):
        check_parameters({**read(tmp_path), "monthlyBudget": "300"}, "dev")


@settings(max_examples=20)  # each reads all of infra/bicep
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_the_fingerprint_is_of_the_values_whatever_their_order(values: dict[str, Any]) -> None:
    again = dict(reversed(values.items()))
    assert fingerprint(values) == fingerprint(again)
    assert re.fullmatch(r"[0-9a-f]{8}", fingerprint(values))
    assert fingerprint({**values, "one more": 1}) != fingerprint(values)
