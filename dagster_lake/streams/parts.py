"""The windows, joins and analytic functions that a stream may declare, and how far each of them looks back."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Literal["hour", "minute", "second", "millisecond"]
_MILLISECONDS: Mapping[str, int] = {"hour": 3_600_000, "minute": 60_000, "second": 1_000, "millisecond": 1}


class Part(BaseModel):
    """A part of a declaration: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Timed(Part):
    """A part with lengths in a unit, and the columns that its rows are alike in."""

    unit: Unit
    by: list[str]

    def in_ms(self, length: int) -> int:
        """A length in this part's unit as milliseconds."""
        return length * _MILLISECONDS[self.unit]


_LENGTHS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "tumbling": (frozenset({"unit", "size"}), frozenset({"offset"})),
    "hopping": (frozenset({"unit", "size", "hop"}), frozenset({"offset"})),
    "sliding": (frozenset({"unit", "size"}), frozenset()),
    "session": (frozenset({"unit", "timeout", "maximum"}), frozenset()),
    "snapshot": (frozenset(), frozenset()),
}
"""What each kind of window must have beside its columns, and what it may have."""


class Window(Part):
    """GROUP BY a window and the columns ``by``; ``id`` names it among several. Lengths are in its unit."""

    kind: Literal["tumbling", "hopping", "sliding", "session", "snapshot"]
    by: list[str]
    id: str | None = None
    unit: Unit | None = None
    size: int | None = Field(None, gt=0)
    hop: int | None = Field(None, gt=0)
    offset: int | None = None
    timeout: int | None = Field(None, gt=0)
    maximum: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> "Window":
        needed, allowed = _LENGTHS[self.kind]
        names = ("unit", "size", "hop", "offset", "timeout", "maximum")
        given = {name for name in names if getattr(self, name) is not None}
        if not needed <= given <= needed | allowed:
            wanted = " and ".join(name for name in names if name in needed) or "no unit and no length"
            may = f" (and may have {', '.join(sorted(allowed))})" if allowed else ""
            raise ValueError(f"a {self.kind} window has {wanted}, and nothing else{may}")
        return self

    def in_ms(self, length: int) -> int:
        """A length in this window's unit as milliseconds."""
        return length * _MILLISECONDS[self.unit or "millisecond"]

    @property
    def reach_ms(self) -> int:
        """How far before an hour the events may be that a window which ends in the hour holds."""
        if self.kind == "session":  # see the macro: cuts are known after twice the maximum
            return self.in_ms(2 * (self.maximum or 0) + (self.timeout or 0))
        size = self.in_ms(self.size or 0)
        if self.kind == "tumbling":
            return _within_hours(size, self.offset)
        if self.kind == "hopping":
            hop = self.in_ms(self.hop or 0)
            return max(size - hop, 0) if _within_hours(hop, self.offset) == 0 else size
        return size


def _within_hours(size: int, offset: int | None = None) -> int:
    """How far an aligned interval that ends in an hour begins before that hour."""
    return 0 if not offset and 3_600_000 % size == 0 else size


class Join(Timed):
    """DATEDIFF(unit, from, to) BETWEEN at_least AND at_most, and equal columns ``by``."""

    kind: Literal["inner", "left"] = "inner"
    from_: str = Field(alias="from")
    to: str
    at_least: int
    at_most: int

    @property
    def reach_ms(self) -> int:
        """How far before a result the events may be that it follows from; counted in boundaries, almost one more."""
        after, before = self.at_most, -self.at_least
        if self.kind == "left":  # a miss is known when its time to be matched is over
            return self.in_ms(max(after, 0) + max(before, 0) + 1)
        return self.in_ms(max(after, before) + 1)


class Lag(Timed):
    """LAG: the value of ``offset`` events before, no older than the ``limit``."""

    limit: int = Field(gt=0)
    offset: int = Field(1, ge=1)

    @property
    def reach_ms(self) -> int:
        """How far before a row the rows may be that it looks at."""
        return self.in_ms(self.limit)


class Last(Timed):
    """LAST: the newest value, no older than the ``limit``."""

    limit: int = Field(gt=0)

    @property
    def reach_ms(self) -> int:
        """How far before a row the rows may be that it looks at."""
        return self.in_ms(self.limit)


class First(Timed):
    """ISFIRST: the first event of each interval of ``size``."""

    size: int = Field(gt=0)

    @property
    def reach_ms(self) -> int:
        """How far an interval that an hour's events are in begins before that hour."""
        return _within_hours(self.in_ms(self.size))


class Over(Timed):
    """An aggregate OVER LIMIT DURATION of ``size``: each row keeps its place, beside what came up to then."""

    size: int = Field(gt=0)

    @property
    def reach_ms(self) -> int:
        """How far before a row the rows may be that it looks at."""
        return self.in_ms(self.size)


class Baseline(Over):
    """What a window is compared with: those of the ``size`` up to its end, and by how many standard deviations."""

    sigmas: int


class SpikesAndDips(Timed):
    """AnomalyDetection_SpikeAndDip: each event judged by the ``history`` before it, no older than the ``limit``."""

    limit: int = Field(gt=0)
    history: int = Field(ge=10)
    confidence: float = Field(ge=1, le=100)
    mode: Literal["spikes", "dips", "spikesanddips"] = "spikesanddips"

    @property
    def reach_ms(self) -> int:
        """How far before a row the rows may be that it looks at."""
        return self.in_ms(self.limit)


class ChangePoints(Timed):
    """AnomalyDetection_ChangePoint: the same, of the last ``history`` events together."""

    limit: int = Field(gt=0)
    history: int = Field(ge=10)
    confidence: float = Field(ge=1, le=100)

    @property
    def reach_ms(self) -> int:
        """How far before a row the rows may be that it looks at: each event counts as judged by those before it."""
        return self.in_ms(2 * self.limit)
