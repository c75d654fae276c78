"""Sinks: where rows of streams go beside their Delta tables, so that nothing is lost, doubled or left as it was."""
