"""Runs a story, says what is wrong with its tables, and makes a story that shows a fault shorter."""

import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.simulation.broken import broken
from tests.simulation.compare import differences
from tests.simulation.expected import expected
from tests.simulation.product import Product
from tests.simulation.story import story
from tests.simulation.world import Story, World


@dataclass(frozen=True)
class Outcome:
    """What became of a story: ``wrong`` tells each difference; no lines when there is none."""

    story: Story
    wrong: list[str]
    seconds: float


def run(story: Story, engine: str = "duckdb") -> Outcome:
    """Takes every step, does what the product asks for, and compares every table."""
    folder = Path(tempfile.mkdtemp(prefix="simulation-"))
    started = time.process_time()
    try:
        wrong = _wrong(World(folder, story, {"engine": engine, "threads": 1}))
    except Exception:
        wrong = ["it raised:", *traceback.format_exc().splitlines()]
    finally:
        shutil.rmtree(folder)
    return Outcome(story, wrong, time.process_time() - started)


def outcome(
    seed: int, engine: str = "duckdb", variant: str | None = None, seconds: float = 0, *, troubled: bool = False
) -> Outcome:
    """Runs the story of a seed, perhaps a ``troubled`` one, with the product broken in the way ``variant``, if any.
    Where tables differ, a shorter story is looked for, for so many ``seconds``."""
    with broken(variant):
        found = run(story(seed, troubled=troubled), engine)
        if not found.wrong or not seconds:
            return found
        return run(shorter(found.story, lambda fewer: bool(run(fewer, engine).wrong), seconds), engine)


def _wrong(world: World) -> list[str]:
    rng = random.Random(world.story.seed)
    for step in world.story.steps:
        world.take(step)
    world.settle(lambda hours: rng.sample(hours, len(hours)))
    wrong = differences(world.product.table, expected(world.outside, world.product.delivered))
    return wrong + (_wrong_streams(world.product) if world.story.streams else [])


def _wrong_streams(product: Product) -> list[str]:
    """What the streams, made hour by hour, hold that they do not hold when all hours are computed at once."""
    before = product.streams_content()
    product.rebuild_streams()
    after = product.streams_content()
    return differences(before.get, after)


def shorter(story: Story, is_wrong: Callable[[Story], bool], seconds: float = 120) -> Story:
    """The story with fewer steps that still ``is_wrong``: runs of steps are left out, long ones first."""
    end = time.monotonic() + seconds
    size = len(story.steps) // 2
    while size:
        start = 0
        while start < len(story.steps) and time.monotonic() < end:
            fewer = replace(story, steps=(*story.steps[:start], *story.steps[start + size :]))
            if is_wrong(fewer):
                story = fewer
            else:
                start += size
        size //= 2
    return story
