"""Values of a database that do not fit, a fallback for the time, and times set back: the same on both engines."""

# ruff: noqa: F811  # fixtures are imported

from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dagster_lake import clock
from dagster_lake.contract.model import Property
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.spark.engine import SparkEngine
from dagster_lake.engines.step import Check, Step
from dagster_lake.settings.lake import Settings
from tests.lake.databases import AMOUNT, CHANGED_AT, KEY, NOW, Theirs, sales, their_sqlite  # noqa: F401

HOURS = ("2026-01-05T10", "2026-01-05T11")
CONTRACT = sales(
    KEY,
    AMOUNT,
    Property("note", "string", "A note.", required=True),
    replace(CHANGED_AT, required=True),
    Property("created_at", "timestamp", "Made."),
    fallback=("created_at",),
)


def made_by(engine: type[DuckDBEngine] | type[SparkEngine], theirs: Theirs) -> dict[str, Any]:
    """What an engine makes of two hours, and of the first again when a row's time was set back into it."""
    runs = engine(theirs.lake, {"sales": CONTRACT}, Settings(root=str(theirs.lake.root), threads=1))
    theirs.land(*HOURS)
    theirs.silver(*HOURS, engine=lambda *_: runs)
    runs.run(Step("sales", "newest", HOURS))
    theirs.run("UPDATE orders SET amount = 5, changed_at = '2026-01-05 10:45' WHERE id = 2")
    theirs.land(HOURS[0])
    theirs.silver(HOURS[0], engine=lambda *_: runs)
    runs.run(Step("sales", "newest", HOURS[:1]))
    back = runs.check(Check("sales", HOURS[:1], ("times_go_forward",)))
    forward = runs.check(Check("sales", HOURS[1:], ("times_go_forward",)))
    theirs.run("UPDATE orders SET amount = 4.5, changed_at = '2026-01-05 11:20' WHERE id = 2")
    own = [*CONTRACT.properties]
    return {
        "silver": sorted([str(row[p.name]) for p in own] for row in theirs.rows("silver")),
        "quarantine": sorted(
            ((row["_rescued_data"], row["_reasons"]) for row in theirs.rows("quarantine")), key=lambda row: str(row[0])
        ),
        "checks": (back, forward),
    }


def test_what_does_not_fit_and_what_has_no_time_is_the_same_on_both_engines(
    their_sqlite: Theirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()
    monkeypatch.setattr(clock, "utc_now", lambda: NOW + timedelta(seconds=next(seconds)))
    theirs = replace(their_sqlite, contract=CONTRACT)
    theirs.run("CREATE TABLE orders (id, amount, note, changed_at text, created_at text)")
    theirs.run(
        "INSERT INTO orders VALUES (1, '12.345', 'x', '2026-01-05 10:30', NULL), ('k', 'y', x'00', NULL, "
        "'2026-01-05 10:30'), (2, 4.5, 'n', '2026-01-05 11:20', NULL), (3, 1, NULL, NULL, '2026-01-05 11:30')"
    )
    theirs.run("INSERT INTO orders VALUES (4, 1, 'z', NULL, '2026-01-05 11:30+01:00')")
    made = made_by(DuckDBEngine, theirs)
    assert made["quarantine"] == [
        (None, ["note:required"]),
        ('{"amount":"12.345"}', ["amount:type"]),
        ('{"id":"k","amount":"y","note":"hex:00"}', ["amount:type", "id:type", "note:type"]),
    ]
    assert [row[0] for row in made["silver"]] == ["2", "2", "4"]
    assert made["checks"] == ({"times_go_forward": {HOURS[0]: 1}}, {"times_go_forward": {}})
    assert made_by(SparkEngine, replace(theirs, folder=tmp_path / "spark")) == made
