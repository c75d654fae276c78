"""What loading the code location costs, beside what importing Dagster and its dbt integration costs.

``python -m bench.load_time [--times N]``: each is timed in processes of its own, in alternation, after one of each to
warm the disk cache. The promise: at most 1.5 times.
"""

import argparse
import statistics
import subprocess
import sys
import time

OURS = "import dagster_lake.definitions"
THEIRS = "import dagster, dagster_dbt"
MOST = 1.5


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter that runs ``code``."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> int:
    """Prints medians, their ratio and whether it keeps the promise."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--times", type=int, default=7)
    times = arguments.parse_args().times
    for code in (OURS, THEIRS):
        seconds(code)
    measured: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for _ in range(times):
        for code, found in measured.items():
            found.append(seconds(code))
    for code, found in measured.items():
        print(f"{code:32} median {statistics.median(found):6.3f} s, least {min(found):6.3f} s, of {times}")
    ratio = statistics.median(measured[OURS]) / statistics.median(measured[THEIRS])
    print(f"ratio of medians {ratio:.2f}, of the least {min(measured[OURS]) / min(measured[THEIRS]):.2f} (aim: {MOST})")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
