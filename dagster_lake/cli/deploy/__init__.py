"""`lake deploy`."""
