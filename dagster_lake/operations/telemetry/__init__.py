"""What the lake tells other systems of itself: log lines, metrics of runs, lineage events."""
