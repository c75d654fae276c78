"""Loads that silver withholds: the same ones, for the same reasons, on every engine."""

from dataclasses import replace
from pathlib import Path

from dagster_lake.contract.model import contracts
from dagster_lake.defs.contracts.pending import pending_snapshots
from dagster_lake.engines.step import Step, StepResult
from tests.lake.lakes import TestLake
from tests.lake.test_hand_made_input import drop_users, person

GOOD = [person(i) for i in range(40)]
SNAPSHOTS = (
    GOOD[:30],
    [*GOOD[:24], *["broken"] * 6],  # a fifth is bad
    [*GOOD[:23], *["broken"] * 7],  # more than that
    ["broken", '{"id": 1}'],
    [],
    [*GOOD[:15], *GOOD[:15]],
    GOOD[:32],
)


def build(root: Path, engine: str) -> tuple[list[StepResult], TestLake]:
    """Lands one snapshot after the other, and makes silver of each as it comes."""
    lake = TestLake(root, {"engine": engine})
    results = []
    for day, lines in enumerate(SNAPSHOTS):
        drop_users(lake, "\n".join(lines), day)
        lake.land("users")
        with lake.here():
            for layer in ("bronze", "silver"):
                partitions = pending_snapshots(lake.resource.lake, contracts()["users"], layer)
                result = lake.resource.engine.run(Step("users", layer, tuple(partitions)))  # type: ignore[arg-type]
            results.append(replace(result, version=0, table_bytes=0))
    with lake.here():
        step = Step("users", "silver", ("2026-01-08T060000Z",), accepted=("2026-01-08T060000Z",))
        results.append(replace(lake.resource.engine.run(step), version=0, table_bytes=0))
    return results, lake


def test_every_engine_withholds_the_same_loads_for_the_same_reasons(tmp_path: Path) -> None:
    wanted, embedded = build(tmp_path / "duckdb", "duckdb")
    assert [sorted(result.withheld) for result in wanted[1:4]] == [
        [],
        ["2026-01-07T060000Z"],
        ["2026-01-07T060000Z", "2026-01-08T060000Z"],
    ]
    assert (
        wanted[3]
        .withheld["2026-01-08T060000Z"]
        .endswith("2 of 2 rows are bad: birth_number:required 1, malformed 1, name:required 1, user_name:required 1")
    )
    assert all(count.balanced for result in wanted for count in result.counts.values())
    assert wanted[-1].withheld == {}

    found, other = build(tmp_path / "spark", "spark")

    assert found == wanted
    assert other.content().keys() == embedded.content().keys()
