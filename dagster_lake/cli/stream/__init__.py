"""`lake stream`."""
