"""`lake reset`."""
