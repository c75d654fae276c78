"""`lake load`."""
