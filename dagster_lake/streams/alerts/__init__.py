"""Alerts: rows of some streams that somebody should hear of, each of them once."""
