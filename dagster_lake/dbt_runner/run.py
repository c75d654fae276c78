"""Runs dbt in this process, and tells node by node what became of it.

One dbt runs at a time in a process, because dbt keeps its adapter and its flags in globals; any number of processes
may run dbt at once, each with its own target folder.
"""

import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from dagster_lake.dbt_runner.manifest import (
    HOURLY_TAG,
    STREAMS,
    DbtRunError,
    flags,
    manifest,
    parsed,
    require_project,
)
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

    from dagster_lake.dbt_runner.duckdb_session import DbtSession
    from dagster_lake.dbt_runner.recompute import Moving
    from dagster_lake.dbt_runner.spark_session import SparkDbtSession
    from dagster_lake.dbt_runner.tables import Written

    Session = DbtSession | SparkDbtSession

ATTEMPTS = 8
_KEEP_SECONDS = 7 * 24 * 3600
# On Spark and SQL warehouses; delta-rs raises nothing like it, for there storage.delta tries again itself.
_LOST = re.compile(
    r"another run wrote|DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|Concurrent\w*Exception"
)
_TARGETS = {"duckdb": "local", "spark": "spark", "databricks": "databricks"}
_one_dbt = threading.Lock()


@dataclass(frozen=True)
class NodeResult:
    """What became of one model or test.

    ``status`` is dbt's: success, pass, warn, fail, error or skipped. ``written`` is set for a stored model. ``further``
    are the hours of silver that were carried on beyond those that the run was for.
    """

    unique_id: str
    status: str
    message: str
    seconds: float
    failures: int | None = None
    sql_file: Path | None = None
    written: "Written | None" = None
    further: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The node's name, without kind and project."""
        return self.unique_id.split(".")[2]

    @property
    def ok(self) -> bool:
        """Whether a run may go on; a warning may."""
        return self.status in ("success", "pass", "warn")


def build(
    select: Sequence[str], hours: HourRange | None, lake: Lake, settings: Settings, *, full_refresh: bool = False
) -> Iterator[NodeResult]:
    """Builds the models and tests with the unique ids ``select``, and yields each node's result as it finishes.

    ``hours`` are the lake hours that this run is for, and all models, of streams or of gold, must be hourly ones; None
    recomputes everything.
    Hours of silver that were written since one of the models last read them are computed as well, and are in each
    result's ``further``. After the last result, raises DbtRunError when a node failed or when a selected node has no
    result.
    """
    if hours is not None:
        _refuse_models_that_read_everything(select)

    def once(nodes: Sequence[str], piece: _Piece) -> Iterator[NodeResult]:
        yield from _run(nodes, piece, lake, settings, full_refresh)

    with _one_dbt:
        refused = _refused(select, lake)
        sound = [id for id in select if id not in {result.unique_id for result in refused}]
        found, further = _pieces(sound, None if full_refresh or hours is None else hours.keys, lake, settings)
        runs = [_settled(sound, partial(once, piece=piece)) for piece in found if sound]
        results = chain(_one_by_one(runs), refused)
        yield from (replace(result, further=further) for result in _checked(select, results))


def _refused(select: Sequence[str], lake: Lake) -> list[NodeResult]:
    """The nodes that a damaged table keeps from running."""
    from dagster_lake.dbt_runner.damage import concerned_by_damage

    return _not_run(*concerned_by_damage(select, manifest(), lake))


def _of_changed_files(select: Sequence[str], variables: Mapping[str, Any], session: "Session") -> list[NodeResult]:
    """The nodes that read a file of the run's hours which is not as it was written; DuckDB's session refuses it."""
    from dagster_lake.dbt_runner.damage import concerned_by_changed_files
    from dagster_lake.dbt_runner.recompute import EVERYTHING

    told = [variables["recomputed_hours"], variables.get("stream_reads", {})]
    if EVERYTHING in told:
        return []
    hours = {*told[0], *chain.from_iterable(told[1].values())}
    return _not_run(*concerned_by_changed_files(select, manifest(), session.pinned, hours))


def _not_run(damaged: Mapping[str, str], after: Iterable[str]) -> list[NodeResult]:
    return [
        *(NodeResult(id, "error", why, 0.0) for id, why in damaged.items()),
        *(NodeResult(id, "skipped", "after a damaged table", 0.0) for id in after),
    ]


@dataclass(frozen=True)
class _Piece:
    """What is run at once: the hours of silver to carry on, None for all, and what each model's write may then note as
    read of silver."""

    hours: list[str] | None
    notes: Mapping[str, Mapping[str, int]]


def _pieces(
    select: Sequence[str], hours: list[str] | None, lake: Lake, settings: Settings
) -> tuple[list[_Piece], tuple[str, ...]]:
    """The pieces, and the hours among theirs that are not of ``hours``.

    Streams in this process read millions of events, so a long range of them is cut.
    """
    from dagster_lake.dbt_runner.silver_reads import catching_up
    from dagster_lake.dbt_runner.tables import pin_tables
    from dagster_lake.engines.pieces import pieces

    nodes = manifest()["nodes"]
    models = {_table(nodes[id]): _sources(nodes[id]) for id in select if nodes[id]["resource_type"] == "model"}
    pinned = pin_tables(lake, {*models, *(source for sources in models.values() for source in sources)})
    behind = catching_up(models, pinned, everything=hours is None)
    if hours is None:
        return [_Piece(None, behind.notes(done=True))], ()
    every = sorted({*hours, *behind.hours})
    cut = [every]
    if settings.engine == "duckdb" and any(_is_stream(nodes[id]) for id in select):
        events = [pinned[source] for source in behind.now]
        cut = pieces(every, lambda hour: sum(table.rows([hour]) for table in events))
    found = [_Piece(piece, behind.notes(done=piece is cut[-1])) for piece in cut]
    return found, tuple(sorted(behind.hours - {*hours}))


def _table(node: Mapping[str, Any]) -> str:
    return f"{node['schema']}.{node['alias']}"


def _sources(node: Mapping[str, Any]) -> list[str]:
    """The tables of silver that a model reads itself."""
    read = (id for id in node["depends_on"]["nodes"] if id.startswith("source."))
    return [f"{source['schema']}.{source['identifier']}" for source in (manifest()["sources"][id] for id in read)]


def _is_stream(node: Mapping[str, Any]) -> bool:
    return node["schema"] == STREAMS and node["resource_type"] == "model"


def _one_by_one(runs: Sequence[Iterator[NodeResult]]) -> Iterator[NodeResult]:
    """Runs of the same nodes, one after the other, as one run, which ends with the first in which a node failed."""
    before: dict[str, NodeResult] = {}
    if not runs:
        return
    for run in runs[:-1]:
        before = {result.unique_id: _joined(before.get(result.unique_id), result) for result in run}
        if not all(result.ok for result in before.values()):
            yield from before.values()
            return
    for result in runs[-1]:
        yield _joined(before.get(result.unique_id), result)


def _joined(before: NodeResult | None, result: NodeResult) -> NodeResult:
    """What became of a node in two runs; the table is as the later one left it."""
    if before is None:
        return result
    failures = None if result.failures is None else result.failures + (before.failures or 0)
    warned = result.status == "pass" and before.status == "warn"
    written = result.written and before.written and result.written.also(before.written.partitions)
    return replace(
        result,
        status="warn" if warned else result.status,
        message=before.message if warned else result.message,
        seconds=before.seconds + result.seconds,
        failures=failures,
        written=written,
    )


def _run(
    select: Sequence[str], piece: _Piece, lake: Lake, settings: Settings, full_refresh: bool
) -> Iterator[NodeResult]:
    """One call of dbt, on one view of the lake."""
    name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    target = require_project().target / "runs" / name
    _forget_old_runs(target.parent)
    with _session(name, lake, settings) as session:
        session.notes = piece.notes
        variables = {**session.variables, **_hours(select, piece.hours, session, lake)}
        changed = _of_changed_files(select, variables, session) if settings.engine == "spark" else []
        yield from changed
        left = [id for id in select if id not in {result.unique_id for result in changed}]
        all_well = not changed
        for result in _invoke(left, variables, target, full_refresh, session, settings) if left else ():
            result = _damage_named(result, lake)
            all_well = all_well and result.ok
            yield result
    if all_well:
        shutil.rmtree(target, ignore_errors=True)  # a failed run's stays: the error names its compiled SQL


def _damage_named(result: NodeResult, lake: Lake) -> NodeResult:
    """The result, with the command that mends it where a damaged table is why a node failed."""
    if result.ok or "`lake repair " in result.message:
        return result
    from dagster_lake.engines.told_damage import damage_told_by

    damaged = damage_told_by(result.message, lake)
    return result if damaged is None else replace(result, message=f"{damaged} ({result.message})")


def _hours(select: Sequence[str], hours: list[str] | None, session: "Session", lake: Lake) -> dict[str, Any]:
    """What the macros are told of the hours to compute, of streams and of gold alike."""
    from dagster_lake.contract.model import contracts
    from dagster_lake.dbt_runner.final_hours import final_runs, output_hours_told
    from dagster_lake.dbt_runner.recompute import EVERYTHING, recomputed_hours, stream_recomputation
    from dagster_lake.landing.newest_hour import newest_hub_hour

    silver = {t.removeprefix("silver."): p for t, p in session.pinned.items() if t.startswith("silver.")}
    nodes = manifest()["nodes"]
    built = [nodes[nodes[id].get("attached_node") or id] for id in select]
    look_backs = {look_back for node in built if (look_back := _look_back(node)) is not None}
    moving = _moving({source for node in built for source in _sources(node)})
    of_streams: dict[str, Any] = {}
    if look_backs:
        of_streams = stream_recomputation(silver, hours, look_backs, partial(newest_hub_hour, lake))
        outputs = {look_back: output_hours_told(of_streams, silver, look_back) for look_back in look_backs}
        of_streams["final_runs"] = final_runs(lake, contracts(), silver, outputs)
    return {
        **of_streams,
        "recomputed_hours": EVERYTHING if hours is None else recomputed_hours(silver, hours, moving),
    }


def _look_back(node: Mapping[str, Any]) -> int | None:
    """A model's meta look_back_hours; None for one whose rows are of the hours of what it counts."""
    look_back: int | None = node["config"]["meta"].get("look_back_hours")
    if look_back is None and _is_stream(node):
        raise DbtRunError(
            f"{node['original_file_path']}: a stream needs the config meta look_back_hours, the whole hours of silver "
            "before an output hour that it reads; add it to the model's YAML"
        )
    return look_back


def _moving(tables: Collection[str]) -> "list[Moving]":
    """Of the tables of silver that are read: those whose rows move from hour to hour, and what belongs to the rows."""
    from dagster_lake.dbt_runner.recompute import Moving

    found = manifest()["sources"].values()
    known = {source["identifier"]: source["config"]["meta"] for source in found if source["schema"] == "silver"}
    read = sorted({table.removeprefix("silver.") for table in tables if table.startswith("silver.")} & {*known})

    def versions(name: str) -> str:
        return f"{name}_changes" if f"{name}_changes" in known else name

    return [
        Moving(
            versions(name),
            tuple(known[name]["key"]),
            {
                versions(other): column
                for other in read
                for column, target in known[other].get("references", {}).items()
                if [target] == [f"{name}.{key}" for key in known[name]["key"]]
            },
        )
        for name in read
        if versions(name) != name
    ]


@contextmanager
def _session(name: str, lake: Lake, settings: Settings) -> Iterator["Session"]:
    session: Session
    if settings.engine == "duckdb":
        from dagster_lake.dbt_runner.delta_plugin import SESSIONS
        from dagster_lake.dbt_runner.duckdb_session import DbtSession

        session = SESSIONS[name] = DbtSession(lake, settings, name)
        try:
            yield session
        finally:
            session.close()
            del SESSIONS[name]
    else:
        from dagster_lake.dbt_runner.spark_session import spark_dbt_session

        with spark_dbt_session(lake, settings) as session:
            yield session


def _settled(select: Sequence[str], once: Callable[[Sequence[str]], Iterator[NodeResult]]) -> Iterator[NodeResult]:
    """Runs the nodes; those that lost to another writer of their table run again, on what the lake is by then."""
    left = select
    for attempt in range(1, ATTEMPTS + 1):
        lost: list[NodeResult] = []
        failed = False
        for result in once(left):
            if (_LOST.search(result.message) and not result.ok) or (result.status == "skipped" and lost):
                lost.append(result)
            else:
                failed = failed or not result.ok
                yield result
        if not lost:
            return
        if failed or attempt == ATTEMPTS:
            yield from lost
            return
        left = [result.unique_id for result in lost]


def _refuse_models_that_read_everything(select: Sequence[str]) -> None:
    found = manifest()["nodes"]
    others = [id for id in select if id.startswith("model.") and id in found and HOURLY_TAG not in found[id]["tags"]]
    if others:
        raise ValueError(f"{', '.join(others)} read more than some hours; run them without hours, or tag them hourly")


def _forget_old_runs(folder: Path) -> None:
    for run in folder.glob("*"):
        if time.time() - run.stat().st_mtime > _KEEP_SECONDS:
            shutil.rmtree(run, ignore_errors=True)


def _checked(select: Sequence[str], results: Iterator[NodeResult]) -> Iterator[NodeResult]:
    missing = set(select)
    failed = []
    for result in results:
        missing.discard(result.unique_id)
        if not result.ok:
            failed.append(result)
        yield result
    if failed:
        skipped = ", ".join(result.name for result in failed if result.status == "skipped")
        told = [_told(result) for result in failed if result.status != "skipped"]
        raise DbtRunError("\n".join([*told, *([f"skipped because of it: {skipped}"] if skipped else [])]))
    if missing:
        raise DbtRunError(f"dbt did not run {', '.join(sorted(missing))}; are these nodes enabled?")


def _told(result: NodeResult) -> str:
    where = f"\n  compiled SQL: {result.sql_file}" if result.sql_file else ""
    return f"{result.unique_id}: {result.status}: {result.message}{where}"


def _invoke(
    select: Sequence[str],
    variables: Mapping[str, Any],
    target: Path,
    full_refresh: bool,
    session: "Session",
    settings: Settings,
) -> Iterator[NodeResult]:
    """Runs dbt in a thread and yields what it finishes."""
    from dbt.cli.main import dbtRunner, dbtRunnerResult

    profile = _TARGETS[settings.engine]
    of_target = parsed(profile, json.dumps(session.workspace))
    finished: SimpleQueue[Any] = SimpleQueue()

    def heard(event: Any) -> None:
        try:
            session.heard(event)
        except Exception:
            raise
        except BaseException as error:  # dbt would lose the thread and wait for ever
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        if event.info.name == "NodeFinished":
            finished.put(event.data)

    def run() -> dbtRunnerResult:
        try:
            return dbtRunner(manifest=of_target, callbacks=[heard]).invoke(
                [
                    "build",
                    *("--select", *(_selector(of_target, unique_id) for unique_id in select)),
                    *("--indirect-selection", "empty", "--exclude-resource-type", "unit_test"),
                    *("--vars", json.dumps({**session.workspace, **variables})),
                    *(["--full-refresh"] if full_refresh else []),
                    *flags(target, profile),
                ]
            )
        finally:
            finished.put(None)

    with ThreadPoolExecutor(1, "dbt") as thread:
        done = thread.submit(run)
        while (data := finished.get()) is not None:
            yield _node_result(data, target, session)
        if (error := done.result().exception) is not None:
            raise DbtRunError(f"dbt could not run: {error}") from error


def compiled(models: Sequence[str], inline: str, lake: Lake, settings: Settings) -> tuple[dict[str, str], str]:
    """The SQL of these models, by unique id, and of ``inline``, a query in dbt's language; over all hours.

    Tables are named in it by schema and name, as a session shows them. Raises DbtRunError for what does not compile.
    """
    name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    target = require_project().target / "runs" / name
    with _one_dbt, _session(name, lake, settings) as session:
        nodes = manifest()["nodes"]
        names = ["fqn:" + ".".join(nodes[id]["fqn"]) for id in models]
        selected = _compile(["--select", *names, "--indirect-selection", "empty"], target, session, settings)
        (query,) = _compile(["--inline", inline], target, session, settings).values()
    shutil.rmtree(target, ignore_errors=True)
    return selected, query


def _compile(arguments: Sequence[str], target: Path, session: "Session", settings: Settings) -> dict[str, str]:
    from dbt.cli.main import dbtRunner

    profile = _TARGETS[settings.engine]
    of_target = parsed(profile, json.dumps(session.workspace))
    variables = json.dumps({**session.workspace, **session.variables})
    done = dbtRunner(manifest=of_target).invoke(["compile", *arguments, "--vars", variables, *flags(target, profile)])
    if not done.success:
        raise DbtRunError(f"dbt could not compile {' '.join(arguments)}: {done.exception or done.result}")
    return {result.node.unique_id: result.node.compiled_code for result in done.result}  # type: ignore[union-attr]


def _selector(manifest: "Manifest", unique_id: str) -> str:
    return "fqn:" + ".".join(manifest.nodes[unique_id].fqn)


def _node_result(data: Any, target: Path, session: "Session") -> NodeResult:
    info, result = data.node_info, data.run_result
    stored = info.resource_type == "model" and result.status == "success"
    sql_file = next((target / "compiled").rglob(Path(info.node_path).name), None)
    return NodeResult(
        unique_id=info.unique_id,
        status=result.status,
        message=" ".join(result.message.split()),
        seconds=result.execution_time,
        failures=result.num_failures if info.resource_type == "test" else None,
        sql_file=sql_file,
        written=session.written(f"{info.node_relation.schema}.{info.node_name}") if stored else None,
    )
