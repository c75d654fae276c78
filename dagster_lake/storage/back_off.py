"""Waiting before trying again: at random, so that two who hinder each other do not meet again and again."""

import random
from dataclasses import dataclass
from datetime import timedelta

from dagster_lake import clock


@dataclass(frozen=True)
class BackOff:
    """Any time from none to ``first`` after one failure, to twice as long after each further one, to ``longest``."""

    first: timedelta
    longest: timedelta

    def wait(self, failures: int) -> None:
        """Waits after so many failures in a row."""
        clock.wait(random.random() * min(self.first * 2 ** (failures - 1), self.longest))
