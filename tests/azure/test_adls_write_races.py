"""Two writers of one table in ADLS at the worst moment: what tests/lake/test_write_races.py shows of a local disk."""

from pathlib import Path

import pytest

from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.unfinished import begin, end, unfinished

from ..lake.racing import PAIRS, SCHEMA, STATES, Prepare, after_both, content, raced
from .adls_lakes import adls_settings
from .azurite import Azurite

HERE = {
    *("overwrite twice", "overwrite and append", "overwrite and replace", "replace an hour twice", "replace two hours"),
    *("merge the same keys", "merge and delete", "append twice", "append in two turns", "widen twice"),
}
"""Each verb beside those that it might overlook; the others differ from them in nothing that the storage could see."""


@pytest.fixture
def lake(azurite: Azurite, tmp_path: Path) -> Lake:
    return Lake.of(adls_settings(azurite, azurite.new_container(), sources=tmp_path))


@pytest.mark.parametrize("before", STATES, ids=lambda state: state.__name__)
def test_another_writer_at_the_worst_moment_doubles_and_loses_nothing(lake: Lake, before: Prepare) -> None:
    for pair in (pair for pair in PAIRS if pair.name in HERE):
        name = pair.name.replace(" ", "_")
        here = TableSpec(lake.root / "gold" / name, SCHEMA, "_lake_hour")
        alone = TableSpec(lake.root / "gold" / f"{name}_alone", SCHEMA, "_lake_hour")
        for spec in (here, alone):
            before(spec)
        raced(here, pair)
        assert content(here) == content(after_both(alone, pair)), pair.name


def test_what_is_unfinished_is_noted_beside_the_tables(lake: Lake) -> None:
    begin(lake, "orders", ["2026-01-05T12", "2026-01-05T13"])
    begin(lake, "orders", ["2026-01-05T12"])
    assert unfinished(lake) == {"2026-01-05T12": ["orders"], "2026-01-05T13": ["orders"]}
    assert end(lake, "orders", ["2026-01-05T11", "2026-01-05T12"]) == ["2026-01-05T12"]
    assert unfinished(lake) == {"2026-01-05T13": ["orders"]}
