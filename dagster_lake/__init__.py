"""A lakehouse of software-defined assets: contracts make silver, dbt makes everything after it."""

import warnings

# Dagster marks backfill_policy as beta at every asset that has one; single-run backfills are what we chose.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
