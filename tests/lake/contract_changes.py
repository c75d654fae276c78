"""A contract that changes under a lake that has landed already, whichever engine runs."""

import json
from dataclasses import replace
from typing import Any

from dagster_lake.contract.model import Contract, Property, contracts
from dagster_lake.defs.contracts.pending import pending_snapshots
from dagster_lake.engines.step import Step
from tests.lake.lakes import TestLake
from tests.lake.test_hand_made_input import drop_users, person

USERS = contracts()["users"]
NICKNAME = Property("nickname", "string", "What friends say.", required=True)


def with_nickname(*, required: bool) -> Contract:
    """The contract of users with one field more."""
    return replace(USERS, properties=(*USERS.properties, replace(NICKNAME, required=required)))


def make(lake: TestLake, contract: Contract) -> list[list[str]]:
    """Lands what was dropped, and makes what the assets of each layer would make; the snapshots of each."""
    lake.land("users")
    made = []
    with lake.here():
        engine: Any = lake.resource.engine
        engine.contracts = {**engine.contracts, "users": contract}
        for layer in ("bronze", "silver", "newest"):
            snapshots = pending_snapshots(lake.resource.lake, contract, layer)
            made.append(snapshots)
            engine.run(Step("users", layer, tuple(snapshots)))  # type: ignore[arg-type]
    return made


def lines(count: int, **fields: Any) -> str:
    """An export of so many customers."""
    return "".join(json.dumps({**json.loads(person(id)), **fields}) + "\n" for id in range(count))


def a_required_field_that_a_contract_gains_is_filled_in_every_snapshot(lake: TestLake) -> None:
    for day in range(2):
        drop_users(lake, lines(5, nickname=f"day {day}"), day)
        made = make(lake, USERS)
    snapshots = sorted({row["_snapshot"] for row in lake.rows("silver/users_snapshots")})
    assert len(snapshots) == 2
    assert made[:2] == [snapshots[-1:], snapshots[-1:]], "of a contract that stays, the newest alone"
    contract = with_nickname(required=True)
    assert make(lake, contract)[:2] == [snapshots, snapshots]
    found = {(row["_snapshot"], row["nickname"]) for row in lake.rows("silver/users_snapshots")}
    assert found == {(snapshot, f"day {day}") for day, snapshot in enumerate(snapshots)}
    described = replace(contract, description="In other words.", version="9.9.9")
    assert make(lake, described)[:2] == [snapshots[-1:], snapshots[-1:]], "what decides no row makes no row again"
