"""A random world on Spark ends in the tables that an independent computation gives."""

from tests.simulation.run import outcome

SEED = 5


def test_every_table_of_a_random_world_is_what_its_sources_say_on_spark() -> None:
    done = outcome(SEED, engine="spark")
    assert not done.wrong, "\n".join([*done.wrong, str(done.story)])
