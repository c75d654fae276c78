"""A contract that changes, with the embedded engine."""

from pathlib import Path

from tests.lake.contract_changes import a_required_field_that_a_contract_gains_is_filled_in_every_snapshot
from tests.lake.lakes import TestLake


def test_a_required_field_that_a_contract_gains_is_filled_in_every_snapshot(tmp_path: Path) -> None:
    a_required_field_that_a_contract_gains_is_filled_in_every_snapshot(TestLake(tmp_path / "lake"))
