"""Writes the output shown in the docs anew, from real runs: ``python -m tests.docs.console docs/cli.md README.md``.

Each ```console block of one ``$ lake ...`` or ``$ make help`` command is run in the project's root, on the lake that is
there, and its output put in place. Of a long output the lines around ``...`` are kept: as many at the start and at the
end as the block had before. A block after ``<!-- as it was -->`` is left alone.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?P<keep><!-- as it was -->\n)?```console\n\$ (?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)


def main(pages: list[str]) -> None:
    """Rewrites the pages in place."""
    for page in pages:
        path = ROOT / page
        path.write_text(BLOCK.sub(_renewed, path.read_text(encoding="utf-8")), encoding="utf-8")


def _renewed(block: re.Match[str]) -> str:
    if block["keep"]:
        return block[0]
    environment = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}", "COLUMNS": "80"}
    done = subprocess.run(
        ["bash", "-c", block["command"]], cwd=ROOT, env=environment, text=True, stdout=-1, stderr=-2, input="n\n"
    )
    lines = [line.rstrip() for line in done.stdout.replace(f"{ROOT}/", "").rstrip().splitlines()]
    return f"```console\n$ {block['command']}\n" + "\n".join(shortened(lines, block["output"].splitlines())) + "\n```"


def shortened(lines: list[str], before: list[str]) -> list[str]:
    """``lines`` cut as the block was ``before``: as many at the start and at the end as stood around its ``...``."""
    if "..." not in before:
        return lines
    head = before.index("...")
    tail = len(before) - 1 - (len(before) - 1 - before[::-1].index("..."))
    return [*lines[:head], "...", *lines[len(lines) - tail :]]


if __name__ == "__main__":
    main(sys.argv[1:])
