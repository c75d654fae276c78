"""What `lake doctor` says of the event hub."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dagster_lake.cli.doctor.event_hub import event_hub_findings, hub_findings
from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.contract.model import EventHubSource, contracts
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

from .captured import Captured, capture
from .fake_event_hub import FakeEventHubs

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def fake() -> Iterator[FakeEventHubs]:
    with FakeEventHubs(pageviews=4) as running:
        yield running


def settings(root: Path, **values: object) -> Settings:
    return Settings(_env_file=None, root=str(root), **values)  # type: ignore[arg-type]


def test_the_embedded_event_hub_is_told_with_its_folder(tmp_path: Path) -> None:
    [finding] = event_hub_findings(settings(tmp_path))
    assert finding == Finding(
        "ok", "event hub", f"embedded, in {tmp_path}/sources/event_hub, made with the first events"
    )


def test_each_hub_in_azure_is_tried_and_one_that_is_missing_fails(tmp_path: Path, fake: FakeEventHubs) -> None:
    fake.put("pageviews", 2, (NOON, None, b"{}"))
    found = {f.subject: f for f in event_hub_findings(settings(tmp_path, event_hubs_connection=fake.connection_string))}
    assert found["event hub pageviews"] == Finding(
        "ok",
        "event hub pageviews",
        f"4 partitions in {fake.namespace} by LAKE_EVENT_HUBS_CONNECTION, newest event 2026-01-05 12:00:00 UTC",
    )
    assert found["event hub stars"].level == "fail"
    assert "has no event hub 'stars'" in found["event hub stars"].says
    assert "docs/event-hubs.md" in found["event hub stars"].remedy


def test_a_wrong_key_fails_and_is_not_shown(tmp_path: Path, fake: FakeEventHubs) -> None:
    secret = fake.connection_string_with("a-wrong-key")
    for finding in event_hub_findings(settings(tmp_path, event_hubs_connection=secret)):
        assert finding.level == "fail"
        assert "a-wrong-key" not in finding.says + finding.remedy


def test_settings_that_exclude_each_other_fail(tmp_path: Path) -> None:
    both = settings(tmp_path, event_hubs="shop.servicebus.windows.net", event_hubs_connection="Endpoint=sb://x/")
    assert {finding.level for finding in event_hub_findings(both)} == {"fail"}


def test_what_capture_wrote_is_looked_for(tmp_path: Path) -> None:
    source = EventHubSource("stars", "captured")
    contract = replace(contracts()["stars"], source=source)

    def found() -> Finding:
        [finding] = hub_findings(settings(tmp_path), Lake.at(str(tmp_path)), contract, source)
        return finding

    assert found().level == "fail"
    assert "has nothing of the event hub 'stars'" in found().says
    capture(tmp_path / "landing" / "captured" / "stars", 0, NOON, [Captured(1, NOON)])
    assert found().level == "ok"
    assert found().says == f"{tmp_path}/landing/captured, newest event 2026-01-05 12:00:00 UTC"
