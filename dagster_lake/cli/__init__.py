"""What a person types: ``lake demo``, ``lake status``, ``lake query`` and the others."""

from dagster_lake.cli.main import app

__all__ = ["app"]
