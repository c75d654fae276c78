"""One history for all tests of telemetry: nobody changes it."""

from collections.abc import Iterator

import pytest

from tests.telemetry.histories import History, history


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with history(tmp_path_factory.mktemp("history")) as made:
        yield made
