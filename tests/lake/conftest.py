"""Fixtures that several files of this folder share."""

from collections.abc import Iterator

import pytest

from dagster_lake.streams.alerts import webhook as webhook_module
from tests.lake.webhooks import Webhook, webhook


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that may pass in a moment is tried again at once."""
    monkeypatch.setattr(webhook_module, "WAITS", (0.0, 0.0))


@pytest.fixture
def hook() -> Iterator[Webhook]:
    """A webhook that takes what it is sent until it is told otherwise."""
    with webhook() as made:
        yield made
