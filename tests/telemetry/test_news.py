"""Whatever happens to runs, and whenever somebody looks: each change is told of, and once when nobody dies."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.operations.telemetry.news import OVERLAP, Cursor, runs_since
from dagster_lake.operations.telemetry.runs import FINISHED

BEGIN = datetime(2026, 1, 5, 12, tzinfo=UTC)
JOB = dg.GraphDefinition(name="job").to_job()
# Seconds that pass, then either a look for at most so many runs, or a run that ends, by a clock that is behind.
LATEST = int(OVERLAP.total_seconds()) - 10
ENDS = st.integers(0, LATEST).map(lambda behind: timedelta(seconds=behind))
STEPS = st.lists(st.tuples(st.integers(0, 90), st.one_of(st.integers(1, 3), ENDS)), max_size=12)


def end_a_run(instance: dg.DagsterInstance, at: datetime) -> str:
    """A run whose end is stored now and bears the time ``at``."""
    run = instance.create_run_for_job(JOB)
    success = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, "job", message="")
    instance.run_storage.handle_run_event(run.run_id, success, at)
    return run.run_id


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_each_run_is_told_of_once_however_late_its_end_is_stored(steps: list[tuple[int, int | timedelta]]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        now, cursor, told = BEGIN, Cursor(BEGIN - timedelta(hours=1)), []

        def look(most: int) -> bool:
            nonlocal cursor
            records, cursor = runs_since(instance, Cursor.read(cursor.write()) or cursor, FINISHED, most)
            told.extend(record.dagster_run.run_id for record in records)
            return bool(records)

        ended = []
        for seconds, what in steps:
            now += timedelta(seconds=seconds)
            if isinstance(what, timedelta):
                ended.append(end_a_run(instance, now - what))
            else:
                look(what)
        while look(2):
            pass
    assert sorted(told) == sorted(ended)


@given(st.datetimes(timezones=st.just(UTC)), st.dictionaries(st.text(), st.datetimes(timezones=st.just(UTC))))
def test_a_cursor_is_read_as_it_was_written(since: datetime, told: dict[str, datetime]) -> None:
    assert Cursor.read(Cursor(since, told).write()) == Cursor(since, told)


def test_there_is_no_cursor_before_the_first_look() -> None:
    assert Cursor.read(None) is None
    assert Cursor.read("") is None
