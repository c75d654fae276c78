"""Whether the lake holds what its sources hold."""
