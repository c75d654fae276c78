"""What ``lake stream`` says of itself."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

RATE_OVER = timedelta(seconds=10)


@dataclass
class Status:
    """How it goes. Times are UTC; ``rates`` are events a second of the last ten seconds, by data set.

    ``hours`` are those that are being landed: the open one, and before it those that are not complete. ``behind`` says
    whether something has landed that the tables do not hold yet. ``alert_seconds`` is from the arrival of the event of
    the last early alert until the alert was noted. ``alerts_waiting`` were not taken by the webhook yet, and
    ``alerts_set_aside`` of the last days will not be sent again by themselves. ``sinks_waiting`` are those that
    lack rows.
    """

    now: datetime
    landed: dict[str, int] = field(default_factory=dict)
    hours: list[str] = field(default_factory=list)
    alerts: int = 0
    alert_seconds: float | None = None
    alerts_waiting: int = 0
    alerts_set_aside: int = 0
    sinks_waiting: int = 0
    tables_at: datetime | None = None
    tables_seconds: float | None = None
    behind: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    _recent: deque[tuple[datetime, dict[str, int]]] = field(default_factory=deque)

    def count(self, now: datetime, rows: dict[str, int]) -> None:
        """Adds what one look at the hubs brought."""
        self.now = now
        for name, number in rows.items():
            self.landed[name] = self.landed.get(name, 0) + number
        self._recent.append((now, dict(self.landed)))
        while len(self._recent) > 1 and self._recent[1][0] <= now - RATE_OVER:
            self._recent.popleft()

    @property
    def rates(self) -> dict[str, float]:
        """Events a second, by data set."""
        then, before = self._recent[0] if self._recent else (self.now, {})
        seconds = (self.now - then).total_seconds()
        return {name: (rows - before.get(name, 0)) / seconds if seconds else 0.0 for name, rows in self.landed.items()}

    @property
    def total(self) -> int:
        """Events landed since the start."""
        return sum(self.landed.values())
