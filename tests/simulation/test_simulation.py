"""Random worlds end in the tables that an independent computation gives, and a broken product is found out by them."""

import pytest

from tests.simulation.broken import BROKEN
from tests.simulation.run import outcome

WORLDS = (1, 2, 3, 4, 5)
CAUGHT_BY = {
    "look_back_of_23_hours": (9, 11, 12),
    "orders_that_move_stay_counted": (2, 7, 18),
}
"""Seeds of worlds that show each break."""


@pytest.mark.parametrize("seed", WORLDS)
def test_every_table_of_a_random_world_is_what_its_sources_say(seed: int) -> None:
    done = outcome(seed)
    assert not done.wrong, "\n".join([*done.wrong, str(done.story)])


@pytest.mark.parametrize("variant", BROKEN)
def test_a_broken_product_is_found_out(variant: str) -> None:
    assert any(outcome(seed, variant=variant).wrong for seed in CAUGHT_BY[variant])
