"""What Dagster sees of streams beside their models."""
