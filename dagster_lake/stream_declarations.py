"""What each stream is, as its YAML in dbt/models/streams declares it: one place for dbt, Stream Analytics and checks.

A declaration is ``config.meta.stream`` of a model; its numbers come from the variables in dbt_project.yml::

    inputs: {pageviews: event_time}        data sets of events that are read, and the field that is their time
    reference: {users: user_id}            data sets of snapshots, and the column joined with their id
    where: {latency: {above: 2000}}        conditions on a column: above, below, at_least
    window: {kind: tumbling, unit: minute, size: 5, by: [http_method]}
            {kind: session, unit: minute, timeout: 30, maximum: 60, by: [user_id]}
    join: {unit: minute, from: pageviews, to: stars, at_least: 0, at_most: 15, by: [user_id]}
    first: {unit: minute, size: 60, by: [user_id]}
    baseline: {unit: second, size: 3630, by: [http_method], sigmas: 5}
    key: [event_id]                        columns that no two rows have in common
    stream_analytics: {format: parquet, without: {column: why}, tolerance: {values: 1.0e-9, rows: 0.0}}
    alert: {worst: latency, shows: [http_method, latency], told_after_ms: 60000}

``window``, ``join``, ``first``, ``baseline`` and ``alert`` are given where they apply.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from dagster_lake.channel_names import CHANNEL_NAME

RESULT_TIME = "_time"
"""The column of every stream that holds its result's System.Timestamp(), UTC."""
PARTITION = "_lake_hour"

Unit = Literal["hour", "minute", "second", "millisecond"]
_MILLISECONDS: Mapping[str, int] = {"hour": 3_600_000, "minute": 60_000, "second": 1_000, "millisecond": 1}


class StreamDeclarationError(Exception):
    """A declaration cannot be read: the message names file, field and remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Timed(_Part):
    unit: Unit
    by: list[str]

    def in_ms(self, length: int) -> int:
        """A length in this part's unit as milliseconds."""
        return length * _MILLISECONDS[self.unit]


class Window(_Timed):
    """GROUP BY a window: ``size`` of a tumbling one, ``timeout`` and ``maximum`` of a session."""

    kind: Literal["tumbling", "session"]
    size: int | None = None
    timeout: int | None = None
    maximum: int | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Window":
        wanted = {"tumbling": {"size"}, "session": {"timeout", "maximum"}}[self.kind]
        given = {name for name in ("size", "timeout", "maximum") if getattr(self, name) is not None}
        if given != wanted:
            raise ValueError(f"a {self.kind} window has {' and '.join(sorted(wanted))}, and nothing else")
        return self


class Join(_Timed):
    """DATEDIFF(unit, from, to) BETWEEN at_least AND at_most, and equal columns ``by``."""

    from_: str = Field(alias="from")
    to: str
    at_least: int
    at_most: int


class First(_Timed):
    """ISFIRST: the first event of each interval of ``size``."""

    size: int


class Baseline(_Timed):
    """What a window is compared with: those of the ``size`` up to its end, and by how many standard deviations."""

    size: int
    sigmas: int


class Bounds(_Part):
    """A condition on one column."""

    above: int | None = None
    below: int | None = None
    at_least: int | None = None


class Tolerance(_Part):
    """How far the lake and Stream Analytics may differ: doubles by a share of their size, ``rows`` by a share of an
    hour's. The last digits of a sum follow from the order of its terms, which no engine promises."""

    values: float = Field(1e-9, ge=0)
    rows: float = Field(0.0, ge=0, le=1)


class StreamAnalytics(_Part):
    """How Stream Analytics delivers the stream, and which columns it cannot make, with the reason of each."""

    format: Literal["parquet", "json_lines"]
    without: Mapping[str, str] = {}
    tolerance: Tolerance = Tolerance()


ChannelName = Annotated[str, StringConstraints(pattern=f"^{CHANNEL_NAME.pattern}$")]


class Alert(_Part):
    """Each row is an alert, told once: the columns that it ``shows``, the greatest ``worst`` first.

    A row that may still change, as a window may, waits until all events are known that arrived up to ``told_after_ms``
    after its ``_time``; without it, a row is told at once. What is shown leaves the lake, so that no column of it may
    hold personal data in clear. They go to its own ``channels``, else to those of its inputs' contracts.
    """

    worst: str
    shows: list[str] = Field(min_length=1)
    told_after_ms: int | None = Field(None, ge=0)
    channels: list[ChannelName] = []


class StreamDeclaration(_Part):
    """One stream. ``columns`` are the table's, in order, without the partition."""

    name: str
    columns: list[str]
    look_back_hours: int = Field(ge=1)
    inputs: Mapping[str, str]
    key: list[str]
    stream_analytics: StreamAnalytics
    reference: Mapping[str, str] = {}
    where: Mapping[str, Bounds] = {}
    window: Window | None = None
    join: Join | None = None
    first: First | None = None
    baseline: Baseline | None = None
    alert: Alert | None = None

    @model_validator(mode="after")
    def _columns_exist(self) -> "StreamDeclaration":
        alerts = [self.alert.worst, *self.alert.shows] if self.alert else []
        named_columns: dict[str, Iterable[str]] = {
            "key": self.key,
            "stream_analytics.without": self.stream_analytics.without,
            "alert": alerts,
        }
        for field, named in named_columns.items():
            if unknown := sorted(set(named) - set(self.columns)):
                raise ValueError(f"{field} names {', '.join(unknown)}, which the model does not declare as a column")
        if RESULT_TIME not in self.columns:
            raise ValueError(f"the column {RESULT_TIME}, the result's time, is missing")
        return self

    @property
    def delivered(self) -> list[str]:
        """The columns that Stream Analytics writes, in order."""
        return [column for column in self.columns if column not in self.stream_analytics.without]


def stream_declarations(manifest: Mapping[str, Any]) -> dict[str, StreamDeclaration]:
    """Every stream of the dbt project, by name, from its manifest (``resources.dbt.manifest()``).

    Raises StreamDeclarationError.
    """
    nodes = manifest["nodes"].values()
    streams = [node for node in nodes if node["resource_type"] == "model" and node["schema"] == "streams"]
    return {node["name"]: _declaration(node) for node in sorted(streams, key=lambda node: node["name"])}


def _declaration(node: Mapping[str, Any]) -> StreamDeclaration:
    file = (node["patch_path"] or node["original_file_path"]).rpartition("://")[2]
    meta = node["config"]["meta"]
    if "stream" not in meta:
        raise StreamDeclarationError(f"{file}: config.meta.stream is missing; declare the stream as the others do")
    try:
        return StreamDeclaration(
            name=node["name"],
            columns=[column for column in node["columns"] if column != PARTITION],
            look_back_hours=meta.get("look_back_hours"),
            **meta["stream"],
        )
    except ValidationError as error:
        raise StreamDeclarationError("\n".join(_told(file, error.errors()))) from error


def _told(file: str, problems: Iterable[Any]) -> Iterable[str]:
    for problem in problems:
        place = ".".join(str(step) for step in problem["loc"])
        field = place if place == "look_back_hours" else f"stream.{place}".rstrip(".")
        yield f"{file}: config.meta.{field}: {problem['msg']}"
