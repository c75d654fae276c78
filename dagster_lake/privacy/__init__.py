"""Personal data: the masking key and its names."""
