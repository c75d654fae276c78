"""What a gold table was computed from, as its log tells it, and which runs are run again; without any engine."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from upath import UPath

from dagster_lake.dbt_runner.run import ATTEMPTS, NodeResult, _settled
from dagster_lake.storage.delta.reads import difference, differing_partitions, last_reads, older
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Pinned, overwrite, pin, replace_partitions

SCHEMA = pa.schema([pa.field("_lake_hour", pa.string()), pa.field("n", pa.int64())])


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return TableSpec(UPath(tmp_path / "gold" / "reader"), SCHEMA, "_lake_hour")


def write(spec: TableSpec, hour: str, number: int, **reads: int) -> Pinned:
    rows = pa.table({"_lake_hour": [hour], "n": [number]}, schema=SCHEMA)
    metadata = {f"lake.read.gold.{feed}": str(version) for feed, version in reads.items()}
    return replace_partitions(spec, [hour], rows.to_reader, metadata)


def note(spec: TableSpec, at: int, **reads: int) -> Pinned:
    """As Spark's macro leaves it."""
    pinned = pin(spec.uri)
    assert pinned is not None
    document = {"at": at, "reads": {f"gold.{feed}": version for feed, version in reads.items()}}
    pinned.table.alter.set_table_properties({"lake.note": json.dumps(document)}, raise_if_not_exists=False)
    noted = pin(spec.uri)
    assert noted is not None
    return noted


def test_a_note_counts_for_the_write_that_it_names(spec: TableSpec) -> None:
    written = write(spec, "a", 1)
    assert last_reads(written) == {}
    assert last_reads(note(spec, written.version, feed=7)) == {"gold.feed": 7}


def test_a_note_counts_no_more_after_another_write(spec: TableSpec) -> None:
    first = write(spec, "a", 1)
    note(spec, first.version, feed=7)
    assert last_reads(write(spec, "a", 2)) == {}


def test_a_write_that_carries_its_reads_makes_an_older_note_void(spec: TableSpec) -> None:
    first = write(spec, "a", 1)
    note(spec, first.version, feed=7)
    assert last_reads(write(spec, "a", 2, feed=9)) == {"gold.feed": 9}


def test_a_note_of_a_later_write_wins_over_reads_in_an_older_commit(spec: TableSpec) -> None:
    write(spec, "a", 1, feed=3)
    later = write(spec, "a", 2)
    assert last_reads(later) == {}
    assert last_reads(note(spec, later.version, feed=4)) == {"gold.feed": 4}


def test_partitions_that_differ_are_told_from_the_log(spec: TableSpec) -> None:
    then = pin(write(spec, "a", 1).uri, 1)
    write(spec, "b", 1)
    now = write(spec, "c", 1)
    assert then is not None
    assert differing_partitions(now, then) == ["b", "c"]
    assert differing_partitions(now, now) == []


def test_versions_cannot_be_compared_when_the_log_or_the_files_are_gone(spec: TableSpec) -> None:
    then = pin(write(spec, "a", 1).uri, 1)
    now = write(spec, "a", 2)
    assert then is not None
    assert older(now, 99) is None
    found = difference(now, then)
    assert found is not None
    assert (len(found.added), len(found.removed)) == (1, 1)
    Path(found.removed[0]).unlink()
    assert difference(now, then) is None


def test_an_unpartitioned_table_may_differ_anywhere(tmp_path: Path) -> None:
    spec = TableSpec(UPath(tmp_path / "gold" / "whole"), SCHEMA)
    rows = pa.table({"_lake_hour": ["a"], "n": [1]}, schema=SCHEMA)
    then = pin(overwrite(spec, rows.to_reader, {}).uri, 1)
    now = overwrite(spec, rows.to_reader, {})
    assert then is not None
    assert differing_partitions(now, then) is None


def result(name: str, status: str, message: str = "") -> NodeResult:
    return NodeResult(f"model.dagster_lake.{name}", status, message, 0.1)


def runs(*told: list[NodeResult]) -> tuple[Callable[[Sequence[str]], Iterator[NodeResult]], list[list[str]]]:
    """dbt, as ``_settled`` calls it: each call gives the next of these lists."""
    asked: list[list[str]] = []

    def once(select: Sequence[str]) -> Iterator[NodeResult]:
        asked.append([id.split(".")[-1] for id in select])
        yield from told[min(len(asked), len(told)) - 1]

    return once, asked


LOST = "Compilation Error another run wrote gold.b meanwhile"


def test_what_lost_to_another_run_is_run_again_with_what_waited_for_it() -> None:
    once, asked = runs(
        [result("a", "success"), result("b", "error", LOST), result("c", "skipped")],
        [result("b", "success"), result("c", "success")],
    )
    told = list(_settled(["m.p.a", "m.p.b", "m.p.c"], once))
    assert [(r.name, r.status) for r in told] == [("a", "success"), ("b", "success"), ("c", "success")]
    assert asked == [["a", "b", "c"], ["b", "c"]]


def test_nothing_is_run_again_past_a_failure() -> None:
    once, asked = runs([result("a", "fail"), result("b", "error", LOST), result("c", "skipped")])
    told = list(_settled(["m.p.a", "m.p.b", "m.p.c"], once))
    assert [(r.name, r.status) for r in told] == [("a", "fail"), ("b", "error"), ("c", "skipped")]
    assert len(asked) == 1


def test_a_model_that_always_loses_fails_in_the_end() -> None:
    once, asked = runs([result("b", "error", "[DELTA_CONCURRENT_APPEND] files were added")])
    told = list(_settled(["m.p.b"], once))
    assert [r.status for r in told] == ["error"]
    assert len(asked) == ATTEMPTS


@pytest.mark.parametrize("message", ["[DELTA_METADATA_CHANGED.X] y", "io.delta.exceptions.ConcurrentAppendException"])
def test_delta_s_own_words_for_a_conflict_are_known(message: str) -> None:
    once, asked = runs([result("b", "error", message)], [result("b", "success")])
    assert [r.status for r in _settled(["m.p.b"], once)] == ["success"]
    assert len(asked) == 2
