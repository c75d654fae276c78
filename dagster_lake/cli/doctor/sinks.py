"""The check of ``lake doctor`` that concerns sinks: whether the database that is named for tables takes writers."""

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.settings.lake import Settings

_SUBJECT = "sinks' database"


def sink_findings(settings: Settings) -> list[Finding]:
    """What is wrong with ``LAKE_SINK_DATABASE_URL``; nothing where it is not set."""
    if settings.sink_database_url is None:
        return []
    from dagster_lake.settings.secret_text import without_secrets
    from dagster_lake.streams.sinks.database_system import named_system
    from dagster_lake.streams.sinks.sink import SinkRefused

    try:
        is_ready = named_system(settings.sink_database_url).is_ready()
    except SinkRefused as error:
        return [Finding("fail", _SUBJECT, str(error), "correct LAKE_SINK_DATABASE_URL (docs/sinks.md)")]
    except Exception as error:  # whatever a driver raises
        says = without_secrets(" ".join(f"{type(error).__name__}: {error}".split()))
        return [Finding("fail", _SUBJECT, says, "check LAKE_SINK_DATABASE_URL, and that the database is up")]
    return [Finding("ok", _SUBJECT, "it has the lake's tables" if is_ready else "it can be reached")]
