"""Lists the benchmarks, or runs one: python -m bench [NAME [OPTIONS]].

Each is also `python -m bench.NAME`, with a --help of its own.
"""

import ast
import runpy
import sys
from pathlib import Path

NAMES = (
    "generators",
    "load_time",
    "demo_scale",
    "engines",
    "one_more_hour",
    "seed_scale",
    "streams",
    "alert_latency",
    "verify_streams",
    "soak",
)


def main() -> int:
    """Runs the named benchmark; without a name, says what each measures."""
    if len(sys.argv) > 1 and sys.argv[1] in NAMES:
        sys.argv = sys.argv[1:]
        runpy.run_module(f"bench.{sys.argv[0]}", run_name="__main__")
        return 0
    print(__doc__)
    for name in NAMES:
        module = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
        print(f"{name:<14} {(ast.get_docstring(module) or '').splitlines()[0]}")
    return 0 if not sys.argv[1:] or sys.argv[1] in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main())
