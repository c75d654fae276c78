"""`lake demo`."""
