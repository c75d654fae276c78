"""`lake doctor`."""
