"""Contracts -> what dbt knows of silver: ``models/sources.yml``, and a macro that lists the data sets of events.

Run this module to write both files of the dbt project again.
"""

from pathlib import Path
from typing import Any

import yaml

from dagster_lake.contract.model import Contract, contracts
from dagster_lake.dbt_runner.manifest import require_project
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.duckdb.scan import sql_type
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import accepted_table, has_newest, newest_table, silver_name, silver_table

_WRITTEN = "Written from the contracts by `python -m dagster_lake.dbt_runner.sources`; do not edit."
_ADDED = {
    "_enqueued_time": "When the event reached the hub.",
    "_partition": "Partition of the hub.",
    "_sequence_number": "Position in the partition.",
    "_source_file": "Where the row was landed.",
    "_source_row": "Position of the row where it was landed.",
    "_ingested_at": "When the row was landed.",
    "_lake_hour": "The lake hour, named by its start; the partition.",
    "_snapshot": "The newest snapshot that held the row.",
    "_missing_since": "The first snapshot that lacked the row; null while it is there.",
    "_deleted_at": "When the source was found to have deleted the row; null while it has it.",
    "_newer_in_quarantine": "Whether a newer version of the row is in quarantine.",
}


def sources_yaml(of: dict[str, Contract]) -> str:
    """The sources file for these contracts: every silver table with its columns, types and descriptions."""
    lake = Lake(Path("lake"))  # type: ignore[arg-type]  # only names and schemas are used
    tables = []
    for contract in of.values():
        tables.append(_table(silver_table(lake, contract), contract))
        if has_newest(contract):
            tables.append(_table(newest_table(lake, contract), contract))
        if contract.cadence == "snapshot":
            # One step makes both.
            made_with = {"dagster": {"asset_key": ["silver", silver_name(contract)]}}
            tables.append({**_table(accepted_table(lake, contract), contract), "config": {"meta": made_with}})
    source = {
        "name": "silver",
        "schema": "silver",
        "description": "Typed, deduplicated and masked rows, one contract each.",
        "tables": sorted(tables, key=lambda table: table["name"]),
    }
    return f"# {_WRITTEN}\n" + yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False, width=120)


def events_macro(of: dict[str, Contract]) -> str:
    """A macro that returns what ``data_sets_of_events`` says: dbt must know it before it knows the sources."""
    return (
        f"{{# {_WRITTEN} #}}\n\n"
        "{% macro data_sets_of_events() %}\n"
        f"  {{% do return({data_sets_of_events(of)}) %}}\n"
        "{% endmacro %}\n"
    )


def data_sets_of_events(of: dict[str, Contract]) -> list[str]:
    """The data sets that the macro stream() can read: those of a hub with the time of each event, in order of name."""
    return sorted(
        name
        for name, contract in of.items()
        if contract.source.kind == "event_hub"
        and any(p.name == "event_time" and p.logical_type == "timestamp" for p in contract.properties)
    )


def _table(spec: TableSpec, contract: Contract) -> dict[str, Any]:
    described = {p.name: p.description for p in contract.properties} | _ADDED
    return {
        "name": spec.uri.name,
        "description": spec.description,
        "config": {"meta": _related(contract)},
        "columns": [
            {
                "name": column.name,
                "data_type": sql_type(column.type).lower(),
                **({"description": described[column.name]} if column.name in described else {}),
            }
            for column in spec.schema
        ],
    }


def _related(contract: Contract) -> dict[str, Any]:
    """The key of a row, and which fields name the key of another data set's: what ``source_hours`` goes by."""
    references = {p.name: ".".join(p.references) for p in contract.properties if p.references is not None}
    return {"key": [p.name for p in contract.keys], **({"references": references} if references else {})}


def files_of(project: Path) -> tuple[Path, Path]:
    """Where the two files are in a dbt project."""
    return project / "models" / "sources.yml", project / "macros" / "data_sets_of_events.sql"


def _write() -> None:
    sources, events = files_of(require_project(installed=False).folder)
    for file, text in ((sources, sources_yaml(contracts())), (events, events_macro(contracts()))):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(f"Wrote {file}")


if __name__ == "__main__":
    _write()
