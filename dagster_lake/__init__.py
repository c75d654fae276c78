"""A lakehouse of software-defined assets: contracts make silver, dbt makes everything after it."""

import gc
import warnings

# Every process begins with Dagster's and dbt's classes, none of which is ever garbage. Looking for some after each 700
# new objects, as Python does, is an eighth of the processor time of a start.
gc.set_threshold(10_000, 10, 10)

# Dagster marks backfill_policy as beta at every asset that has one; single-run backfills are what we chose.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
