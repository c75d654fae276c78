"""``python -m tests.simulation``: many worlds, each against an independent computation. See docs/simulation.md."""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context

from tests.simulation.broken import BROKEN
from tests.simulation.run import Outcome, outcome


def main() -> int:
    """Runs the worlds and tells of each that differs; 1 when any does."""
    options = _options()
    seeds = range(options.seed, options.seed + options.worlds)
    started, wrong, steps = time.monotonic(), [], 0
    for number, done in enumerate(_outcomes(seeds, options), 1):
        steps += len(done.story.steps)
        if done.wrong:
            wrong.append(done.story.seed)
            print(f"\nworld {done.story.seed} differs after {len(done.story.steps)} steps:", flush=True)
            print("\n".join(done.wrong))
            if options.steps:
                print(done.story)
        if number % 10 == 0 or number == options.worlds:
            print(f"{number} worlds, {len(wrong)} differ, {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{options.worlds} worlds from seed {options.seed}, {steps} steps, engine {options.engine}: "
        f"{len(wrong)} differ{': ' if wrong else ''}{', '.join(map(str, sorted(wrong)))}"
    )
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=20, help="how many worlds")
    parser.add_argument("--seed", type=int, default=1, help="the first world's seed; the others follow it")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--engine", choices=["duckdb", "spark"], default="duckdb")
    parser.add_argument("--broken", choices=sorted(BROKEN), help="break the product in this way first")
    parser.add_argument("--trouble", action="store_true", help="have some runs fail or die")
    parser.add_argument("--shorten", type=float, default=60, metavar="SECONDS", help="look so long for a shorter story")
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, default=True, help="tell the steps taken")
    return parser.parse_args()


def _outcomes(seeds: range, options: argparse.Namespace) -> Iterator[Outcome]:
    how = {"engine": options.engine, "variant": options.broken, "troubled": options.trouble}
    of_seed = partial(outcome, **how, seconds=options.shorten)
    if options.jobs == 1:
        yield from map(of_seed, seeds)
        return
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as processes:
        for done in as_completed([processes.submit(of_seed, seed) for seed in seeds]):
            yield done.result()


if __name__ == "__main__":
    sys.exit(main())
