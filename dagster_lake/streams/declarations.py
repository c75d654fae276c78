"""What each stream is, as its YAML in dbt/models/streams declares it: one place for dbt, Stream Analytics and checks.

A declaration is ``config.meta.stream`` of a model; its numbers come from the variables in dbt_project.yml::

    inputs: {pageviews: event_time}        data sets of events that are read, and the field that is their time
    reference: {users: user_id}            data sets of snapshots, and the column joined with their id
    where: {latency: {above: 2000}}        conditions on a column: above, below, at_least
    substreams: [user_id]                  TIMESTAMP BY ... OVER: each key has a watermark of its own
    window: {kind: tumbling, unit: minute, size: 5, offset: 0, by: [http_method]}
            {kind: hopping, unit: minute, size: 10, hop: 5, offset: 0, by: [http_method]}
            {kind: sliding, unit: minute, size: 5, by: [http_method]}
            {kind: session, unit: minute, timeout: 30, maximum: 60, by: [user_id]}
            {kind: snapshot, by: [http_method]}
    windows: [{id: short, kind: ...}, {id: long, kind: ...}]        Windows(): several at once
    join: {kind: inner, unit: minute, from: pageviews, to: stars, at_least: 0, at_most: 15, by: [user_id]}
    lag: {unit: minute, limit: 5, offset: 1, by: [user_id]}
    last: {unit: minute, limit: 5, by: [user_id]}
    first: {unit: minute, size: 60, by: [user_id]}
    over: {unit: minute, size: 60, by: [user_id]}                   SUM(...) OVER (LIMIT DURATION)
    baseline: {unit: second, size: 3630, by: [http_method], sigmas: 5}
    spikes_and_dips: {unit: minute, limit: 10, history: 120, confidence: 95, mode: spikes, by: [http_method]}
    change_points: {unit: minute, limit: 20, history: 120, confidence: 90, by: [http_method]}
    key: [event_id]                        columns that no two rows have in common
    stream_analytics: {format: parquet, without: {column: why}, tolerance: {values: 1.0e-9, rows: 0.0}}
    alert: {worst: latency, shows: [http_method, latency], told_after_ms: 60000}
    sinks: [{database_table: slow_pages}, {files: slow_pages, format: jsonl}, {event_hub: slow-pages}]

``inputs`` and ``key`` are given always, the rest where it applies; without ``stream_analytics`` there is no such query.
How far a model must look back follows from what it declares: ``least_look_back_hours``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from dagster_lake.contract.model import contracts
from dagster_lake.errors import LakeError
from dagster_lake.settings.channel_names import CHANNEL_NAME
from dagster_lake.streams.declared_sinks import SinkDeclaration, sink_problems
from dagster_lake.streams.parts import Baseline, ChangePoints, First, Join, Lag, Last, Over, Part, SpikesAndDips, Window

ANALYTIC = ("lag", "last", "first", "over", "baseline", "spikes_and_dips", "change_points")
"""The fields that declare analytic functions."""
RESULT_TIME = "_time"
"""The column of every stream that holds its result's System.Timestamp(), UTC."""
PARTITION = "_lake_hour"
FINAL = "_is_final"
"""The column that tells rows which no event can change any more; a stream may have it."""
INGEST_MS = 610_000
"""How long after the first hour read begins times are exact: 5 minutes of early events, 310 s of watermark."""

ANALYTIC = ("lag", "last", "first", "over", "baseline", "spikes_and_dips", "change_points")
"""The fields that declare analytic functions."""


class StreamDeclarationError(LakeError):
    """A declaration cannot be read: the message names file, field and remedy."""


class Bounds(Part):
    """A condition on one column."""

    above: int | None = None
    below: int | None = None
    at_least: int | None = None


class Tolerance(Part):
    """How far the lake and Stream Analytics may differ: doubles by a share of their size, ``rows`` by a share of an
    hour's. The last digits of a sum follow from the order of its terms, which no engine promises."""

    values: float = Field(1e-9, ge=0)
    rows: float = Field(0.0, ge=0, le=1)


class StreamAnalytics(Part):
    """How Stream Analytics delivers the stream, and which columns it cannot make, with the reason of each."""

    format: Literal["parquet", "json_lines"]
    without: Mapping[str, str] = {}
    tolerance: Tolerance = Tolerance()


ChannelName = Annotated[str, StringConstraints(pattern=f"^{CHANNEL_NAME.pattern}$")]


class Alert(Part):
    """Each row is an alert, told once: the columns that it ``shows``, the greatest ``worst`` first.

    A row that may still change, as a window may, waits until all events are known that arrived up to ``told_after_ms``
    after its ``_time``; without it, a row is told at once. What is shown leaves the lake, so that no column of it may
    hold personal data in clear. They go to its own ``channels``, else to those of its inputs' contracts.
    """

    worst: str
    shows: list[str] = Field(min_length=1)
    told_after_ms: int | None = Field(None, ge=0)
    channels: Sequence[ChannelName] = ()


class StreamDeclaration(Part):
    """One stream. ``columns`` are the table's, in order, without those that only the lake has: the partition, and the
    one that ``tells_final`` rows from others."""

    name: str
    columns: list[str]
    tells_final: bool = False
    look_back_hours: int = Field(ge=1)
    inputs: Mapping[str, str]
    key: list[str]
    stream_analytics: StreamAnalytics | None = None
    reference: Mapping[str, str] = {}
    where: Mapping[str, Bounds] = {}
    substreams: Sequence[str] = ()
    window: Window | None = None
    windows: Sequence[Window] = ()
    join: Join | None = None
    lag: Lag | None = None
    last: Last | None = None
    first: First | None = None
    over: Over | None = None
    baseline: Baseline | None = None
    spikes_and_dips: SpikesAndDips | None = None
    change_points: ChangePoints | None = None
    alert: Alert | None = None
    sinks: Sequence[SinkDeclaration] = ()

    @model_validator(mode="after")
    def _columns_exist(self) -> "StreamDeclaration":
        alerts = [self.alert.worst, *self.alert.shows] if self.alert else []
        named_columns: dict[str, Iterable[str]] = {
            "key": self.key,
            "stream_analytics.without": self.stream_analytics.without if self.stream_analytics else [],
            "alert": alerts,
        }
        for field, named in named_columns.items():
            if unknown := sorted(set(named) - set(self.columns)):
                raise ValueError(f"{field} names {', '.join(unknown)}, which the model does not declare as a column")
        if RESULT_TIME not in self.columns:
            raise ValueError(f"the column {RESULT_TIME}, the result's time, is missing")
        return self

    @model_validator(mode="after")
    def _windows_are_told_apart(self) -> "StreamDeclaration":
        if self.window and self.windows:
            raise ValueError("window and windows: a query has one of both")
        ids = [window.id.lower() for window in self.windows if window.id is not None]
        if ids and len(set(ids)) < len(self.windows):
            raise ValueError("windows: all have an id or none has, and ids differ in more than case")
        return self

    @model_validator(mode="after")
    def _substreams_stay_apart(self) -> "StreamDeclaration":
        """Time is in order within a substream only: what looks at several rows must look at those of one."""
        for field, part in self._grouping().items():
            if missing := [key for key in self.substreams if key not in part.by]:
                raise ValueError(
                    f"{field}.by lacks {', '.join(missing)}: events are in order within each of the substreams only, "
                    "so that windows, joins and analytic functions are by their keys"
                )
        return self

    def _grouping(self) -> dict[str, Any]:
        parts: dict[str, Any] = {name: getattr(self, name) for name in ("window", "join", *ANALYTIC)}
        return {name: part for name, part in parts.items() if part} | {
            f"windows.{place}": window for place, window in enumerate(self.windows)
        }

    @model_validator(mode="after")
    def _looks_back_far_enough(self) -> "StreamDeclaration":
        if self.look_back_hours < self.least_look_back_hours:
            raise ValueError(
                f"look_back_hours is {self.look_back_hours}, and what is declared needs {self.least_look_back_hours}: "
                f"windows, joins and functions that look back {self._reach_ms / 60_000:g} minutes, and "
                f"{INGEST_MS // 1000} s until times are exact; without them, rows would be missing or wrong"
            )
        return self

    @property
    def least_look_back_hours(self) -> int:
        """The whole hours of silver before an output hour without which its results would not be exact."""
        return max(1, math.ceil((self._reach_ms + INGEST_MS) / 3_600_000))

    @property
    def _reach_ms(self) -> int:
        """Analytic functions stand beside one another, on the rows that windows and joins give."""
        windows = [self.window] if self.window else self.windows
        analytic = [part for name in ANALYTIC if (part := getattr(self, name)) is not None]
        joined = self.join.reach_ms if self.join else 0
        return (
            joined
            + max((window.reach_ms for window in windows), default=0)
            + max((part.reach_ms for part in analytic), default=0)
        )

    @property
    def delivered(self) -> list[str]:
        """The columns that Stream Analytics writes, in order; none where there is no such query."""
        if self.stream_analytics is None:
            return []
        return [column for column in self.columns if column not in self.stream_analytics.without]

    @property
    def query(self) -> StreamAnalytics:
        """How Stream Analytics delivers it. Raises StreamDeclarationError for a stream that has no such query."""
        if self.stream_analytics is None:
            raise StreamDeclarationError(
                f"{self.name} declares no stream_analytics; give its format to compare with it"
            )
        return self.stream_analytics


def stream_declarations(manifest: Mapping[str, Any]) -> dict[str, StreamDeclaration]:
    """Every stream of the dbt project, by name, from its manifest (``dbt_runner.manifest.manifest()``).

    A model that says ``stream: null`` is none: it counts what streams are made of.

    Raises StreamDeclarationError.
    """
    nodes = manifest["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model" and node["schema"] == "streams"]
    streams = [node for node in models if node["config"]["meta"].get("stream", ...) is not None]
    found = {node["name"]: _declaration(node) for node in sorted(streams, key=lambda node: node["name"])}
    files = {node["name"]: _file(node) for node in streams}
    if problems := sink_problems({name: stream.sinks for name, stream in found.items()}, contracts().values()):
        told = (f"{files[name]}: config.meta.stream.sinks.{place}: {why}" for name, place, why in problems)
        raise StreamDeclarationError("\n".join(told))
    return found


def _file(node: Mapping[str, Any]) -> str:
    return (node["patch_path"] or node["original_file_path"]).rpartition("://")[2]


def _declaration(node: Mapping[str, Any]) -> StreamDeclaration:
    file = _file(node)
    meta = node["config"]["meta"]
    if "stream" not in meta:
        raise StreamDeclarationError(f"{file}: config.meta.stream is missing; declare the stream as the others do")
    try:
        return StreamDeclaration(
            name=node["name"],
            columns=[column for column in node["columns"] if column not in (PARTITION, FINAL)],
            tells_final=FINAL in node["columns"],
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
