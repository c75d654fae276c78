"""What silver's latest rows must be, whichever engine makes them: each case is given a way to make a world."""

from collections.abc import Callable
from datetime import UTC, datetime

from dagster_lake.contract.model import Contract
from dagster_lake.storage.accepted import accepted_snapshots
from tests.lake.latest_world import ORDERS, USERS, LatestWorld, hour, snapshot, strict

Make = Callable[[Contract], LatestWorld]
S = [snapshot(number) for number in range(6)]
H = [hour(number) for number in range(6)]


# --- snapshots --------------------------------------------------------------------------------------------------------


def an_export_of_which_most_rows_are_not_valid_is_not_taken(make: Make) -> None:
    for bad in ([(k, "no number" if k else 0) for k in range(10)], [(k, "no number") for k in range(10)]):
        world = make(USERS)
        world.export(0, [(k, k) for k in range(10)])
        world.make(S[0])
        before = world.rows()
        world.export(1, bad)
        told = world.silver(S[1]).withheld[S[1]]
        assert f"lacks {9 if bad[0][1] == 0 else 10} of the 10 keys" in told
        world.newest(S[1])
        assert world.rows() == before, "a refused export marks nobody as missing"


def a_key_that_is_quarantined_keeps_its_last_valid_row_and_is_not_missing(make: Make) -> None:
    world = make(USERS)
    world.export(0, [(k, k) for k in range(10)])
    world.make(S[0])
    world.export(1, [*((k, 10 + k) for k in range(8)), (8, "no number")])
    world.make(S[1])
    rows = world.rows()
    assert rows[0] == (10, S[1], None, False)
    assert rows[8] == (8, S[0], None, True)
    assert rows[9] == (9, S[0], S[1], False)
    world.export(2, [(k, k) for k in range(8)])
    world.make(S[2])
    assert world.rows()[8] == (8, S[0], S[2], True), "it is missing since the first snapshot that lacks it altogether"
    world.export(3, [*((k, k) for k in range(8)), (8, "again none"), (9, 9), (20, "never valid")])
    world.make(S[3])
    rows = world.rows()
    assert (rows[8], rows[9]) == ((8, S[0], None, True), (9, S[3], None, False))
    assert 20 not in rows


def an_accepted_empty_snapshot_ends_every_row_and_the_next_one_is_measured_by_it(make: Make) -> None:
    world = make(USERS)
    world.export(0, [(k, k) for k in range(10)])
    world.make(S[0])
    world.export(1, [])
    world.make(S[1], accept_shrink=True)
    assert {row[2] for row in world.rows().values()} == {S[1]}
    assert accepted_snapshots(world.lake, world.contract) == S[:2]
    world.make(S[1])  # what was accepted stays accepted
    world.export(2, [(1, 1)])
    world.make(S[2])
    rows = world.rows()
    assert rows.pop(1) == (1, S[2], None, False)
    assert {row[2] for row in rows.values()} == {S[1]}


def a_stricter_contract_takes_out_snapshot_rows_that_are_not_valid_any_more(make: Make) -> None:
    world = make(USERS)
    world.export(0, [(1, 5), (2, 20), (3, 5)])
    world.export(1, [(1, 30), (2, 20), (3, 5), (4, 50)])
    world.make(S[0], S[1])
    world.under(strict(USERS, 10))
    world.make(S[1])
    assert world.rows()[3] == (5, S[0], None, True), "the first snapshot has not been made again yet"
    world.make(S[0])
    assert world.rows() == {
        1: (30, S[1], None, False),
        2: (20, S[1], None, False),
        4: (50, S[1], None, False),
    }
    world.under(USERS)
    world.make(S[0], S[1])
    assert world.rows()[3] == (5, S[1], None, False)


def snapshots_made_in_any_order_give_the_same(make: Make) -> None:
    worlds = [make(USERS), make(USERS)]
    for world, order in zip(worlds, ([0, 1, 2], [1, 2, 0]), strict=True):
        world.export(0, [(1, 1), (2, 2), (3, 3)])
        world.export(1, [(1, 1), (2, "bad"), (3, 3), (4, 4)])
        world.export(2, [(1, 7), (3, 3), (4, "bad")])
        for number in order:
            world.make(S[number], accept_shrink=True)
    assert worlds[0].rows() == worlds[1].rows()
    assert worlds[0].rows() == {
        1: (7, S[2], None, False),
        2: (2, S[0], S[2], True),
        3: (3, S[2], None, False),
        4: (4, S[1], None, True),
    }
    version = worlds[0].version
    worlds[0].newest(S[2])
    assert worlds[0].version == version, "nothing to do commits nothing"


# --- changes ----------------------------------------------------------------------------------------------------------


def a_stricter_contract_takes_out_rows_of_which_no_version_is_valid_any_more(make: Make) -> None:
    world = make(ORDERS)
    world.change(0, (1, 10, 5), (2, 10, 50), (3, 10, 40))
    world.change(1, (2, 20, 5), (3, 20, 45), (4, 20, 5))
    world.make(H[0], H[1])
    assert world.rows()[2] == (5, H[1], None, False)
    world.under(strict(ORDERS, 10))
    world.make(H[1])
    world.make(H[0])
    assert world.rows() == {2: (50, H[0], None, True), 3: (45, H[1], None, False)}
    world.under(ORDERS)
    world.make(H[0])
    world.make(H[1])
    assert world.rows() == {
        1: (5, H[0], None, False),
        2: (5, H[1], None, False),
        3: (45, H[1], None, False),
        4: (5, H[1], None, False),
    }


def a_version_that_an_hour_no_longer_holds_gives_way_to_the_one_before(make: Make) -> None:
    world = make(ORDERS)
    world.change(0, (1, 10, 1))
    world.change(1, (1, 10, 2))
    world.change(2, (1, 10, 3), (2, 10, 3))
    for number in (2, 0, 1):
        world.make(H[number])
    assert world.rows()[1] == (3, H[2], None, False)
    world.change(2, (2, 10, 4))
    world.make(H[2])
    assert world.rows() == {1: (2, H[1], None, False), 2: (4, H[2], None, False)}
    world.change(1)
    world.make(H[1])
    world.change(0)
    world.make(H[0])
    assert world.rows() == {2: (4, H[2], None, False)}


def a_newer_version_in_quarantine_is_flagged_until_it_is_not_there_any_more(make: Make) -> None:
    world = make(strict(ORDERS, 10))
    world.change(3, (1, 10, 1), (2, 10, 1))  # both are bad, and made before the good ones
    world.make(H[3])
    assert world.rows() == {}
    world.change(0, (1, 10, 11))
    world.make(H[0])
    assert world.rows() == {1: (11, H[0], None, True)}
    world.change(4, (1, 10, 12))
    world.make(H[4])
    assert world.rows() == {1: (12, H[4], None, False)}
    world.change(4)
    world.make(H[4])
    assert world.rows() == {1: (11, H[0], None, True)}
    world.change(3)
    world.make(H[3])
    assert world.rows() == {1: (11, H[0], None, False)}


def a_deleted_row_says_since_when_and_comes_back_when_it_is_written_again(make: Make) -> None:
    world = make(ORDERS)
    world.change(0, (1, 10, 1), (2, 10, 2))
    world.change(1, (3, 10, 3))
    world.make(H[0], H[1])
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    world.delete({1: noon, 3: noon})
    world.newest(H[0], H[1])
    assert {key: row[2] for key, row in world.rows().items()} == {1: noon, 2: None, 3: noon}
    world.change(13, (3, 10, 4))
    world.make(hour(13))
    assert world.rows()[3] == (4, hour(13), None, False), "written after it was deleted"
    world.delete({3: noon})
    world.newest(H[0])
    assert world.rows()[1] == (1, H[0], None, False)


def nothing_is_written_when_nothing_changes(make: Make) -> None:
    world = make(strict(ORDERS, 10))
    world.change(0, (1, 10, 11), (2, 10, 1), (3, 50, 12))
    world.change(1, (1, 10, 1))
    world.make(H[0], H[1])
    assert world.rows() == {1: (11, H[0], None, True), 3: (12, H[0], None, False)}
    version = world.version
    world.make(H[0])
    world.make(H[1])
    assert world.version == version


# --- many at once, for an engine whose steps take seconds ------------------------------------------------------------


def snapshots_of_every_kind(make: Make) -> None:
    world = make(USERS)
    world.export(0, [(k, k) for k in range(10)])
    world.make(S[0])
    world.export(1, [*((k, 10 + k) for k in range(8)), (8, "no number")])
    world.make(S[1])
    rows = world.rows()
    assert rows[0] == (10, S[1], None, False)
    assert rows[8] == (8, S[0], None, True), "a key in quarantine keeps its last valid row and is not missing"
    assert rows[9] == (9, S[0], S[1], False)
    world.export(2, [(k, "no number" if k else 0) for k in range(10)])
    assert "lacks 7 of the 8 keys" in world.make(S[2]).withheld[S[2]]
    assert world.rows() == rows, "a refused export marks nobody as missing"
    world.export(3, [])
    world.make(S[3], accept_shrink=True)
    assert {key: row[2] for key, row in world.rows().items()} == {**dict.fromkeys(range(9), S[3]), 9: S[1]}
    assert accepted_snapshots(world.lake, world.contract) == [S[0], S[1], S[3]]
    assert world.silver(S[3]).withheld == {}, "what was accepted stays accepted"
    world.export(4, [(1, 1), (8, "again none"), (9, 9), (20, "never valid")])
    world.make(S[4])
    rows = world.rows()
    assert rows.pop(1) == (1, S[4], None, False), "it is measured by the empty one"
    assert rows.pop(8) == (8, S[0], None, True)
    assert rows.pop(9) == (9, S[4], None, False)
    assert {key: row[2] for key, row in rows.items()} == dict.fromkeys([0, 2, 3, 4, 5, 6, 7], S[3])


def changes_of_every_kind(make: Make) -> None:
    world = make(ORDERS)
    world.change(0, (1, 10, 5), (2, 10, 50), (3, 10, 40), (21, 10, 21))
    world.change(1, (2, 20, 5), (3, 20, 45), (4, 20, 5), (23, 10, 23))
    world.make(H[0], H[1])
    assert world.rows()[2] == (5, H[1], None, False)
    world.under(strict(ORDERS, 10))
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    world.delete({21: noon, 23: noon})
    world.change(3, (5, 10, 1))  # it is bad, and made before the good one
    world.make(H[1], H[3])
    world.change(0, (1, 10, 5), (2, 10, 50), (3, 10, 40), (21, 10, 21), (5, 10, 11))
    world.make(H[0])
    assert world.rows() == {
        2: (50, H[0], None, True),
        3: (45, H[1], None, False),
        5: (11, H[0], None, True),
        21: (21, H[0], noon, False),
        23: (23, H[1], noon, False),
    }
    world.change(1, (3, 20, 45), (23, 10, 23))
    world.change(3)
    world.change(13, (23, 10, 24))  # written after it was deleted
    world.make(H[1], H[3], hour(13))
    world.delete({23: noon})
    world.newest(H[0])
    assert world.rows() == {
        2: (50, H[0], None, False),
        3: (45, H[1], None, False),
        5: (11, H[0], None, False),
        21: (21, H[0], None, False),
        23: (24, hour(13), None, False),
    }


ON_SPARK = [snapshots_of_every_kind, changes_of_every_kind]
"""Those that both engines run: each path of Spark's once."""

CASES = [
    *ON_SPARK,
    an_export_of_which_most_rows_are_not_valid_is_not_taken,
    a_key_that_is_quarantined_keeps_its_last_valid_row_and_is_not_missing,
    an_accepted_empty_snapshot_ends_every_row_and_the_next_one_is_measured_by_it,
    a_stricter_contract_takes_out_snapshot_rows_that_are_not_valid_any_more,
    snapshots_made_in_any_order_give_the_same,
    a_stricter_contract_takes_out_rows_of_which_no_version_is_valid_any_more,
    a_version_that_an_hour_no_longer_holds_gives_way_to_the_one_before,
    a_newer_version_in_quarantine_is_flagged_until_it_is_not_there_any_more,
    a_deleted_row_says_since_when_and_comes_back_when_it_is_written_again,
    nothing_is_written_when_nothing_changes,
]
