"""`lake dev`."""
