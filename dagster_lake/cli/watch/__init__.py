"""`lake watch`."""
