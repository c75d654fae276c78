"""Lineage of runs as OpenLineage events: which job read and wrote which data, and how it went."""
