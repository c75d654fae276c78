"""dbt in this process, on every engine."""
