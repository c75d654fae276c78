"""What every asset of the lake carries: schema, lineage, counts, and something to look at."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from dagster_lake.contract.columns import DESCRIPTIONS
from dagster_lake.contract.model import Contract
from dagster_lake.engines.step import Counts, StepResult

_WIDEST_BAR = 30
_MOST_BARS = 48


def column_schema(schema: pa.Schema, contract: Contract) -> dg.TableSchema:
    """The columns of a table as Dagster shows them, described by the contract."""
    described = {p.name: p.description for p in contract.properties}
    masked = {p.name: p.masking for p in contract.properties if p.masking}
    keys = {p.name for p in contract.keys}
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                type=str(field.type),
                description=described.get(field.name) or DESCRIPTIONS.get(field.name),
                constraints=dg.TableColumnConstraints(nullable=field.nullable, unique=keys == {field.name}),
                tags={"masking": masked[field.name]} if field.name in masked else {},
            )
            for field in schema
        ]
    )


def column_lineage(schema: pa.Schema, upstream: dg.AssetKey, contract: Contract) -> dg.TableColumnLineage:
    """Each column from the column of the same name upstream; a derived one from the column it is derived from."""
    derived = {p.name: p.derived_from for p in contract.properties if p.derived_from}
    own = {p.name for p in contract.properties}
    return dg.TableColumnLineage(
        {
            field.name: [dg.TableColumnDep(upstream, derived.get(field.name, field.name))]
            for field in schema
            if field.name in own or field.name.startswith("_")
        }
    )


def definition_metadata(schema: pa.Schema, contract: Contract, table: str) -> dict[str, Any]:
    """The metadata that a definition carries before it ever ran."""
    return {
        "dagster/column_schema": column_schema(schema, contract),
        "dagster/table_name": table,
        "contract": dg.MetadataValue.text(f"{contract.name} {contract.version} ({contract.file})"),
    }


def step_metadata(result: StepResult, seconds: float, engine: str) -> dict[str, dg.MetadataValue]:
    """The metadata of one materialization, from what the step did."""
    counts = result.counts
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(result.table_rows),
        "bytes": dg.MetadataValue.int(result.table_bytes),
        "delta_version": dg.MetadataValue.int(result.version),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
        "engine": dg.MetadataValue.text(engine),
    }
    if counts:
        metadata["dagster/partition_row_count"] = dg.MetadataValue.int(sum(c.rows_out for c in counts.values()))
        for name in ("rows_in", "duplicates", "quarantined", "rescued", "withheld"):
            metadata[name] = dg.MetadataValue.int(sum(getattr(c, name) for c in counts.values()))
    if result.withheld:
        told = (f"- {partition}: {why}" for partition, why in list(result.withheld.items())[-_MOST_BARS:])
        metadata["withheld_loads"] = dg.MetadataValue.md("\n".join(told))
    if len(counts) > 1:
        metadata["rows_by_partition"] = dg.MetadataValue.md(bars({k: c.rows_out for k, c in counts.items()}))
    return {**metadata, **{name: _shown(value) for name, value in result.extra.items()}}


def _shown(value: str | float) -> dg.MetadataValue:
    if isinstance(value, str):
        return dg.MetadataValue.url(value) if value.startswith("https://") else dg.MetadataValue.text(value)
    return dg.MetadataValue.float(float(value))


def bars(values: Mapping[str, int]) -> str:
    """A bar chart in Markdown, one line a value; of many, the last ones."""
    shown = dict(list(values.items())[-_MOST_BARS:])
    if not shown:
        return "nothing"
    highest = max(shown.values()) or 1
    wide = max(len(name) for name in shown)
    lines = [
        f"{name.ljust(wide)} {'█' * round(_WIDEST_BAR * value / highest):<{_WIDEST_BAR}} {value:,}"
        for name, value in shown.items()
    ]
    return "```\n" + "\n".join(lines) + "\n```"


def balance_table(counts: Mapping[str, Counts]) -> str:
    """What became of every row, by partition, as a Markdown table; of many partitions, the last ones."""
    lines = ["| partition | in | out | duplicates | quarantined | withheld |", "|---|--:|--:|--:|--:|--:|"]
    for partition, c in list(counts.items())[-_MOST_BARS:]:
        numbers = (c.rows_in, c.rows_out, c.duplicates, c.quarantined, c.withheld)
        lines.append(f"| {partition} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join(lines)
