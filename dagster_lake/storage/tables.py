"""The Delta tables that a contract gives rise to."""

import pyarrow as pa
from upath import UPath

from dagster_lake.contract.columns import (
    DELETED_AT,
    LAKE_HOUR,
    SNAPSHOT,
    accepted_schema,
    bronze_schema,
    deletions_schema,
    newest_schema,
    partition_field,
    quarantine_schema,
    silver_schema,
)
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake


def bronze_table(lake: Lake, contract: Contract) -> TableSpec:
    """What arrived, by lake hour or snapshot."""
    return TableSpec(
        lake.table("bronze", contract.name, sensitive=contract.sensitive),
        bronze_schema(contract),
        partition_field(contract).name,
        _in_clear(contract),
        contract.description,
    )


def quarantine_table(lake: Lake, contract: Contract) -> TableSpec:
    """Rows that break a rule, with their reasons, by lake hour or snapshot."""
    return TableSpec(
        lake.table("quarantine", contract.name, sensitive=contract.sensitive),
        quarantine_schema(contract),
        partition_field(contract).name,
        _in_clear(contract),
        f"Rows kept out of silver. {contract.description}",
    )


def silver_table(lake: Lake, contract: Contract) -> TableSpec:
    """Valid rows by lake hour or snapshot: events as they are, every change of a row, or whole snapshots."""
    return TableSpec(
        lake.table("silver", silver_name(contract)),
        silver_schema(contract),
        partition_field(contract).name,
        frozenset(p.name for p in contract.properties if p.masking),
        contract.description,
    )


def newest_table(lake: Lake, contract: Contract) -> TableSpec:
    """The latest valid row of each key, for changing rows (by lake hour) and snapshots (unpartitioned)."""
    return TableSpec(
        lake.table("silver", contract.name),
        newest_schema(contract),
        None if contract.cadence == "snapshot" else partition_field(contract).name,
        frozenset(p.name for p in contract.properties if p.masking),
        contract.description,
    )


def deletions_table(lake: Lake, contract: Contract) -> TableSpec:
    """Keys of rows that their source deleted, one row a key. A row of ``newest_table`` counts as deleted when this
    names its key with a ``_deleted_at`` that is not before the row's time of writing."""
    return TableSpec(
        lake.table("silver", f"{contract.name}_deletions"),
        deletions_schema(contract),
        description=f"Rows that the source deleted. {contract.description}",
    )


def quarantined_keys_table(lake: Lake, contract: Contract) -> TableSpec:
    """Keys of which a version was ever in quarantine, by the lake hour of that version: whose ``_newer_in_quarantine``
    to look at when the hour is made again without it."""
    keys = [field for field in deletions_schema(contract) if field.name != DELETED_AT.name]
    return TableSpec(
        lake.table("silver", f"{contract.name}_quarantined"),
        pa.schema([*keys, LAKE_HOUR]),
        LAKE_HOUR.name,
        description=f"Keys of which a version was ever in quarantine. {contract.description}",
    )


def accepted_table(lake: Lake, contract: Contract) -> TableSpec:
    """The snapshots that silver has taken: of each a row without a key, and one for each key that it holds but keeps in
    quarantine. What else it holds is in ``silver_table``; of one that is empty there, this alone says that it was."""
    return TableSpec(
        lake.table("silver", f"{contract.name}_accepted"),
        accepted_schema(contract),
        SNAPSHOT.name,
        description=f"The snapshots that silver has taken, and the keys that each keeps in quarantine. "
        f"{contract.description}",
    )


def silver_name(contract: Contract) -> str:
    """``orders_changes``, ``users_snapshots``, or the data set's own name where a row never changes."""
    if contract.cadence == "snapshot":
        return f"{contract.name}_snapshots"
    return f"{contract.name}_changes" if contract.changing else contract.name


def has_newest(contract: Contract) -> bool:
    """Whether a key may have several rows, so that a table of the newest ones is kept."""
    return silver_name(contract) != contract.name


def tables_of_layer(lake: Lake, contract: Contract, layer: str) -> list[TableSpec]:
    """The tables that a step of ``bronze``, ``silver`` or ``newest`` writes; the last one is the layer's own."""
    if layer == "bronze":
        return [bronze_table(lake, contract)]
    if layer == "newest":
        return [newest_table(lake, contract)]
    return [quarantine_table(lake, contract), silver_table(lake, contract)]


def tables_of(lake: Lake, contract: Contract) -> list[UPath]:
    """The folders of every table that a contract may give rise to, whether or not they are there."""
    made = [bronze_table(lake, contract), quarantine_table(lake, contract), silver_table(lake, contract)]
    if has_newest(contract):
        made.append(newest_table(lake, contract))
    if contract.cadence == "snapshot":
        made.append(accepted_table(lake, contract))
    elif contract.changing:
        made += [deletions_table(lake, contract), quarantined_keys_table(lake, contract)]
    return [spec.uri for spec in made]


def _in_clear(contract: Contract) -> frozenset[str]:
    """Columns that may hold PII in clear before silver; a rescued line may hold any field, whatever the contract."""
    own = {p.name for p in contract.source_properties if p.masking}
    return frozenset(own | {"_rescued_data"})
