"""Databricks: its workspace, its runs, and the engine that submits steps."""
