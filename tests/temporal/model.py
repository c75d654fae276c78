"""What the temporal operators mean, one event at a time: naive, slow and obviously right.

Times are whole microseconds. An event is anything with ``time``; where the order of arrival matters, events are given
in that order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

EARLY = 300_000_000


@dataclass(frozen=True)
class Arrived:
    """An event as silver has it; the fields in canonical order."""

    arrival: int
    partition: str
    number: int
    time: int


def stamped(events: Iterable[Arrived], late: int, tolerance: int, policy: str) -> dict[tuple[str, int], int]:
    """The time of each event, by partition and number, after the rules of ingest; what they drop is missing."""
    times: dict[tuple[str, int], int] = {}
    greatest = None
    for event in sorted(events, key=lambda e: (e.arrival, e.partition, e.number)):
        if event.time - event.arrival > EARLY:
            continue
        time = event.time
        if event.arrival - time > late:
            if policy == "drop":
                continue
            time = event.arrival - late
        watermark = None if greatest is None else greatest - tolerance
        if watermark is not None and time < watermark:
            if policy == "drop":
                continue
            time = watermark
        times[event.partition, event.number] = time
        greatest = time if greatest is None else max(greatest, time)
    return times
