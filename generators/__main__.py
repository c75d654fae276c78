"""Run with `python -m generators`."""

from generators.cli import app

app(prog_name="python -m generators")
