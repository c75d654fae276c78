"""Delta tables: read at one version, written in one commit."""
