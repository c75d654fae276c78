"""Random worlds end in the tables that an independent computation gives, and a broken product is found out by them."""

import pytest

from tests.simulation.run import outcome

WORLDS = (2, 4, 5, 9, 13)
TROUBLED = (2, 4, 13)
"""Those in which runs fail or die: what they left undone, the schedule must find."""
CAUGHT_BY = {
    "look_back_of_23_hours": 50,
    "later_hours_stay_as_they_are": 70,
    "older_versions_win": 2,
    "deleted_rows_stay": 1,
    "failed_hours_are_forgotten": 8,
}
"""The seed of a world that shows each break."""


@pytest.mark.parametrize("seed", WORLDS)
def test_every_table_of_a_random_world_is_what_its_sources_say(seed: int) -> None:
    done = outcome(seed, troubled=seed in TROUBLED)
    assert not done.wrong, "\n".join([*done.wrong, str(done.story)])


@pytest.mark.parametrize("variant", CAUGHT_BY)
def test_a_broken_product_is_found_out(variant: str) -> None:
    troubled = variant == "failed_hours_are_forgotten"
    assert outcome(CAUGHT_BY[variant], variant=variant, troubled=troubled).wrong
