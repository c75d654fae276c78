"""A lakehouse of software-defined assets: contracts make silver, dbt makes everything after it."""
