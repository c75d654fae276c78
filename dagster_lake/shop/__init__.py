"""The demonstration: its world, its tables and its database."""
