"""What keeps a lake in order: health, failures, telemetry, lineage, Dagster's own history."""
