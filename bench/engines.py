"""The demo at several sizes on both engines: where Spark overtakes the embedded one here, and what a start costs.

Run: python -m bench.engines [--times 1 10 100] [--runs 1]

At each size the whole graph is run once for a day on the embedded engine. Then bronze, silver (with quarantine and the
newest rows) and gold are built again into an empty lake from the same files of the layer before, by each engine in
turns, each time in a fresh process. What a start costs (the imports; for Spark also its JVM, and the first look at a
Delta table, which loads most of Spark's code) is measured first and on its own, and is not part of the steps' seconds.
Every table must be the same on both engines, or the benchmark ends with 2. Seconds are medians; memory is the highest
peak of a process, of its JVM too.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from bench.demo_scale import DAY, LAYERS, READS, compared, our_gold, our_steps, sizes
from bench.measure import MEGABYTE, markdown, measured_process, middle, peak_megabytes, report, temporary_folder
from bench.whole_graph import measure

ENGINES = ("duckdb", "spark")


def main() -> int:
    """Runs everything and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100], help="sizes: so many times the demo's")
    parser.add_argument("--runs", type=int, default=1, help="runs of each layer and engine; the median counts")
    parser.add_argument("--build", nargs=3, metavar=("LAYER", "FROM", "INTO"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.build:
        layer, lake, out = wanted.build
        build(layer, Path(lake), Path(out))
        return 0
    with temporary_folder() as folder:
        return race(folder, wanted.times, wanted.runs)


def race(folder: Path, sizes_wanted: list[int], runs: int) -> int:
    """Every size, layer and engine."""
    rows: list[tuple[object, ...]] = []
    starts: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    differing: list[str] = []
    for times in sizes_wanted:
        lake = folder / f"lake-{times}"
        size = {"LAKE_" + name.upper(): value for name, value in sizes(times).items()}
        measure(DAY, {**size, "LAKE_ROOT": lake})
        total = dict.fromkeys(ENGINES, 0.0)
        for layer in LAYERS:
            found: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
            for run in range(runs):
                for engine in ENGINES:
                    with temporary_folder() as scratch:
                        out = scratch / engine
                        environment = {**size, "LAKE_ROOT": out, "LAKE_ENGINE": engine}
                        result = measured_process("bench.engines", ["--build", layer, lake, out], environment)
                        found[engine].append(result)
                        starts[engine].append(result["start"])
                        if run == 0 and engine != "duckdb":
                            differing += [f"{times} times, {said}" for said in compared(layer, lake, out)]
            seconds = {engine: middle([one["seconds"] for one in measured]) for engine, measured in found.items()}
            peaks = [f"{max(one['megabytes'] for one in measured):,.0f}" for measured in found.values()]
            rows.append((f"{times} times, {layer}", *seconds.values(), seconds["spark"] / seconds["duckdb"], *peaks))
            for engine in ENGINES:
                total[engine] += seconds[engine]
        rows.append((f"**{times} times, all**", *total.values(), total["spark"] / total["duckdb"], "", ""))
        print(f"{times} times the demo: done", file=sys.stderr, flush=True)
    print(markdown(["size and layer", "duckdb s", "spark s", "spark / duckdb", "duckdb MB", "spark MB"], rows))
    print("\nA start: " + ", ".join(f"{engine} {middle(found):.1f} s" for engine, found in starts.items()) + ".")
    if differing:
        print("\nThe engines differ, so nothing of this counts:", *differing, sep="\n")
        return 2
    print("All tables hold the same columns and rows on both engines.")
    return 0


# ---- in the process that is measured ----


def build(layer: str, lake: Path, out: Path) -> None:
    """Builds ``layer`` into the new lake ``out`` from the layer before of ``lake``, and reports."""
    for zone in ("", "sensitive"):
        (out / zone).mkdir(parents=True)
        for part in READS[layer]:
            if (lake / zone / part).exists():
                os.symlink(lake / zone / part, out / zone / part)
    start = started(lake, layer)
    seconds = (our_gold() if layer == "gold" else our_steps(layer))["all"]
    report({"seconds": seconds, "start": start, "megabytes": peak_megabytes() + jvm_megabytes()})


def started(lake: Path, layer: str) -> float:
    """The seconds until the engine has answered its first question."""
    begun = time.perf_counter()
    import dagster_lake.definitions  # noqa: F401
    from dagster_lake.lake_resource import LakeResource

    engine = LakeResource().engine
    if engine.name == "spark":
        table = next((lake / READS[layer][-1]).glob("*"), None) if layer != "bronze" else None
        engine.spark.sql("SELECT 1" if table is None else f"SELECT count(*) FROM delta.`{table}`").collect()  # type: ignore[attr-defined]
    return time.perf_counter() - begun


def jvm_megabytes() -> float:
    """The most memory that a JVM of this process ever held."""
    import psutil

    peaks = [
        int(Path(f"/proc/{child.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / MEGABYTE
        for child in psutil.Process().children(recursive=True)
        if "java" in child.name()
    ]
    return max(peaks, default=0.0)


if __name__ == "__main__":
    sys.exit(main())
