"""A random world on Spark ends in the tables that an independent computation gives."""

from dataclasses import replace

from tests.simulation.run import run
from tests.simulation.story import story

SEED = 5
DEAR = {"tick", "backfill", "layer", "exports", "follow", "reconcile"}
"""Steps of the product, of which each takes Spark seconds; what it must do at the end is left."""


def test_every_table_of_a_random_world_is_what_its_sources_say_on_spark() -> None:
    told = story(SEED)
    short = replace(told, steps=tuple(step for step in told.steps if step.kind not in DEAR), streams=False)
    done = run(short, engine="spark")
    assert not done.wrong, "\n".join([*done.wrong, str(done.story)])
