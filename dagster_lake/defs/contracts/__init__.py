"""What contracts give rise to: assets from raw to silver, and their checks."""
