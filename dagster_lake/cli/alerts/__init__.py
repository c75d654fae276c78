"""`lake alerts`."""
