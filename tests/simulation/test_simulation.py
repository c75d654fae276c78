"""Random worlds end in the tables that an independent computation gives, and a broken product is found out by them."""

import pytest

from tests.simulation.broken import BROKEN
from tests.simulation.run import outcome

WORLDS = (1, 2, 3, 4, 5)
CAUGHT_BY = {
    "look_back_of_23_hours": 11,
    "orders_that_move_stay_counted": 7,
    "later_hours_stay_as_they_are": 16,
}
"""The seed of a world that shows each break."""


@pytest.mark.parametrize("seed", WORLDS)
def test_every_table_of_a_random_world_is_what_its_sources_say(seed: int) -> None:
    done = outcome(seed)
    assert not done.wrong, "\n".join([*done.wrong, str(done.story)])


@pytest.mark.parametrize("variant", BROKEN)
def test_a_broken_product_is_found_out(variant: str) -> None:
    assert outcome(CAUGHT_BY[variant], variant=variant).wrong
