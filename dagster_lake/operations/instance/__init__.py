"""Dagster's history: where it lies, and in what."""
