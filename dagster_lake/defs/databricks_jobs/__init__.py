"""Databricks jobs as assets."""
