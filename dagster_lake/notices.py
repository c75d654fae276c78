"""A failed run, said in a page that a person on call can read."""

from pathlib import Path

import dagster as dg

from dagster_lake.contract import contracts
from dagster_lake.storage.paths import Lake, local_path


def write_notice(lake: Lake, context: dg.RunFailureSensorContext) -> Path:
    """Writes ``<lake>/notices/<run id>.md`` and returns its path: what failed, why, whom to tell, how to run again."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")
    lines = [
        f"# Run {run.run_id[:8]} of {run.job_name} failed",
        "",
        f"- partition: {partition or 'none'}",
        f"- whom to tell: {', '.join(_to_tell())}",
        f"- see it: the Dagster UI, Runs, {run.run_id}",
        "",
        "## What failed",
        "",
    ]
    for event in context.get_step_failure_events():
        error = event.event_specific_data.error if event.event_specific_data else None  # type: ignore[union-attr]
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
        _command(run.job_name, partition),
        "```",
        "",
    ]
    folder = local_path(lake.root) / "notices"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{run.run_id}.md"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _to_tell() -> list[str]:
    return sorted({address for contract in contracts().values() for address in contract.notify}) or ["nobody is named"]


def _command(job: str, partition: str | None) -> str:
    tail = f' --tags \'{{"dagster/partition": "{partition}"}}\'' if partition else ""
    return f"dagster job execute -m dagster_lake.definitions -j {job}{tail}"
