"""A failed run, said in a page that a person on call can read."""

import json

import dagster as dg
from dagster._core.events import EngineEventData
from upath import UPath

from dagster_lake.contract.model import contracts
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.publish import publish

_PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def write_notice(lake: Lake, instance: dg.DagsterInstance, run: dg.DagsterRun) -> UPath:
    """Writes ``<lake>/notices/<run id>.md`` and returns its path: what failed, why, whom to tell, how to run again.

    The run's page shows it, too: as an event, with the page itself and its place.
    """
    first, last = _range(run)
    hours = first if first == last else f"{first} to {last}"
    lines = [
        f"# Run {run.run_id[:8]} of {run.job_name} failed",
        "",
        f"- partition: {hours or 'none'}",
        f"- whom to tell: {', '.join(_to_tell())}",
        f"- see it: the Dagster UI, Runs, {run.run_id}",
        "",
        "## What failed",
        "",
    ]
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        error = event.step_failure_data.error
        cause = error.cause or error if error else None
        lines += [
            f"### {event.step_key}",
            "",
            "```",
            (cause.message if cause else event.message or "").strip(),
            "```",
            "",
        ]
    lines += [
        "## Run it again",
        "",
        "Every step can be run again: what was written is replaced, not doubled. In the UI choose *Re-execute from",
        "failure*, or:",
        "",
        "```",
        command_to_run_again(run),
        "```",
        "",
    ]
    file = lake.root / "notices" / f"{run.run_id}.md"
    text = "\n".join(lines)
    publish(file, text)
    shown = {"notice": dg.MetadataValue.md(text), "file": dg.MetadataValue.path(str(file))}
    instance.report_engine_event("What failed, why, and how to run it again", run, EngineEventData(metadata=shown))
    return file


def _to_tell() -> list[str]:
    return sorted({address for contract in contracts().values() for address in contract.notify}) or ["nobody is named"]


def command_to_run_again(run: dg.DagsterRun) -> str:
    """What runs the same again: the run's own assets where it had some of its own, the whole job otherwise."""
    first, last = _range(run)
    if run.asset_selection:
        assets = " or ".join(f'key:"{key.to_user_string()}"' for key in sorted(run.asset_selection))
        hours = (
            ""
            if first is None
            else f" --partition {first}"
            if first == last
            else f" --partition-range {first}...{last}"
        )
        return f"dagster asset materialize -m dagster_lake.definitions --select '{assets}'{hours}"
    tags = {name: value for name, value in run.tags.items() if name in _PARTITION_TAGS}
    tail = f" --tags '{json.dumps(tags)}'" if tags else ""
    return f"dagster job execute -m dagster_lake.definitions -j {run.job_name}{tail}"


def _range(run: dg.DagsterRun) -> tuple[str | None, str | None]:
    first = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")
    return first, run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_end")
