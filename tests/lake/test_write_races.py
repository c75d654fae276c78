"""Two writers of one table at the worst moment: the second does all of its work while the first is in the middle of its
own. What then is in the table is what it would be had they written one after the other: nothing doubled, nothing lost.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath

from dagster_lake.commit import observe
from dagster_lake.storage.delta.spec import TableSpec

from .racing import PAIRS, SCHEMA, STATES, Pair, Prepare, absent, after_both, content, raced

MOMENTS = {
    "while it computes": STATES,
    "before its commit": STATES,
    "before there is a table": [absent],
}
CASES = [
    pytest.param(state, moment, id=f"{state.__name__}, {moment}") for moment in MOMENTS for state in MOMENTS[moment]
]


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return TableSpec(UPath(tmp_path / "gold" / "raced"), SCHEMA, "_lake_hour")


@pytest.mark.parametrize(("before", "moment"), CASES)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_another_writer_at_the_worst_moment_doubles_and_loses_nothing(
    spec: TableSpec, pair: Pair, before: Prepare, moment: str
) -> None:
    before(spec)
    alone = TableSpec(spec.uri.parent / "alone", SCHEMA, "_lake_hour")
    before(alone)
    if moment == "while it computes":
        raced(spec, pair)
    else:
        at_point(f"{spec.name}{'.create' if moment == 'before there is a table' else ''}:before", spec, pair)
    assert content(spec) == content(after_both(alone, pair))


def at_point(point: str, spec: TableSpec, pair: Pair) -> None:
    """The other writer does its work when the first one announces ``point``."""
    left: list[Callable[[], None]] = [lambda: pair.other(spec, None)]

    def look(announced: str) -> None:
        if announced == point and left:
            observe(None)
            left.pop()()

    observe(look)
    try:
        pair.one(spec, None)
    finally:
        observe(None)
    assert not left, "the other writer had its turn"
