"""The stream of docs/add-a-stream.md, taken from the page: its vectors pass, it is declared, and it is a table."""

import re
from pathlib import Path

import pytest

from dagster_lake.dbt_runner import manifest as dbt_manifest
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import stream_declarations
from tests.lake.dbt_projects import project
from tests.lake.stream_world import StreamWorld, at, rows_of
from tests.lake.test_streams import models, run

NAME = "pageviews_by_customer_10m"
PAGE = (PROJECT_ROOT / "docs/add-a-stream.md").read_text(encoding="utf-8")


def test_the_new_stream_of_the_page_passes_its_vectors_and_is_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.cli.main import dbtRunner

    files = {f"streams/{NAME}.{kind}": _block(kind) for kind in ("sql", "yml")}
    lake = Lake.at(str(tmp_path / "lake"))
    world = StreamWorld()
    world.view("12:04", 2, shown="12:08")  # a clock that is four minutes fast
    world.view("12:04:01", 1)
    world.view("12:05", 1)
    world.view("13:30", 1)
    world.write_hours(lake, world.hours)
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    with project(tmp_path / "dbt", files):
        declared = stream_declarations(dbt_manifest.manifest())[NAME]
        assert declared.stream_analytics is None
        assert declared.tells_final
        vectors = ["test", "--select", f"{NAME},test_type:unit", *dbt_manifest.flags(tmp_path / "target")]
        done = dbtRunner().invoke(vectors)
        assert done.success
        names = [result.node.name for result in done.result]  # type: ignore[union-attr]
        assert "a_customer_whose_clock_is_fast_moves_no_other_customer_s_windows" in names
        run(lake, models(NAME), *world.hours)
    found = [(row["user_id"], row["_time"], row["pageviews"], row["_is_final"]) for row in rows_of(lake, NAME)]
    assert sorted(found) == [
        (1, at("12:05"), 2, True),
        (1, at("12:10"), 2, True),
        (1, at("13:30"), 1, True),
        (1, at("13:35"), 1, True),
        (2, at("12:10"), 1, True),
        (2, at("12:15"), 1, True),
    ]


def _block(kind: str) -> str:
    """The page's SQL or YAML."""
    fence = {"sql": "sql", "yml": "yaml"}[kind]
    [text] = re.findall(rf"```{fence}\n(.*?)```", PAGE, re.DOTALL)
    return text
