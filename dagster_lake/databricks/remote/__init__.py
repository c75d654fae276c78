"""What runs on Databricks. Nothing here imports Dagster, dbt, DuckDB or delta-rs, which are not installed there."""
