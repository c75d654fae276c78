"""Data contracts: how they are read, and what they say."""
