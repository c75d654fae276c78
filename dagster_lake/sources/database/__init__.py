"""Databases as sources."""
