"""Schedules and sensors that keep the lake in order."""
