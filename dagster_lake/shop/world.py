"""The generated outside world that the settings describe."""

from dagster_lake.settings.lake import Settings
from generators.dials import Dirt
from generators.world import World


def world_of(settings: Settings) -> World:
    """The world's size and seed."""
    return World(
        seed=settings.seed,
        users=settings.users,
        vip_users=settings.vip_users,
        products=settings.products,
        orders_per_hour=settings.orders_per_hour,
        pageviews_per_hour=settings.pageviews_per_hour,
    )


def dirt_of(settings: Settings) -> Dirt:
    """How dirty it is."""
    if settings.dirt == "none":
        return Dirt.none()
    return Dirt.heavy() if settings.dirt == "heavy" else Dirt()
