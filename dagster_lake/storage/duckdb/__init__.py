"""DuckDB as a reader of Delta tables."""
