"""The columns the lake adds to a data set's own, and the Arrow schemas of its tables."""

import pyarrow as pa

from dagster_lake.contract.model import Contract, EventHubSource, FileSource, Property

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")

LAKE_HOUR = pa.field("_lake_hour", pa.string(), nullable=False)
SNAPSHOT = pa.field("_snapshot", pa.string(), nullable=False)
INGESTED_AT = pa.field("_ingested_at", UTC_MICROSECONDS, nullable=False)
RESCUED = pa.field("_rescued_data", pa.string())
REASONS = pa.field("_reasons", pa.list_(pa.string()), nullable=False)
MISSING_SINCE = pa.field("_missing_since", pa.string())
NEWER_IN_QUARANTINE = pa.field("_newer_in_quarantine", pa.bool_())
DELETED_AT = pa.field("_deleted_at", UTC_MICROSECONDS)
SOURCE_FILE = pa.field("_source_file", pa.string(), nullable=False)
SOURCE_ROW = pa.field("_source_row", pa.int64(), nullable=False)
SOURCE_MODIFIED = pa.field("_source_modified", UTC_MICROSECONDS, nullable=False)
EVENT_POSITION = (
    pa.field("_enqueued_time", UTC_MICROSECONDS, nullable=False),
    pa.field("_partition", pa.string(), nullable=False),
    pa.field("_sequence_number", pa.int64(), nullable=False),
)

DESCRIPTIONS = {
    "_lake_hour": "The lake hour the row arrived in, named by its start, UTC: 2026-01-05T12 is (12:00, 13:00].",
    "_snapshot": "The newest snapshot that holds the row, by the time of its files, UTC.",
    "_missing_since": "The first snapshot that lacked the row; null while the source still has it.",
    "_newer_in_quarantine": "Whether a newer version of the row is in quarantine; this is the latest valid one.",
    "_deleted_at": "When the source was found to have deleted the row, UTC; null while it has the row.",
    "_ingested_at": "When raw landed, UTC, from its manifest: the same on every re-run.",
    "_rescued_data": "What the contract does not know, its types do not hold or came twice, as JSON; a malformed line.",
    "_reasons": "Every rule the row breaks, as field:rule.",
    "_source_file": "The raw file the row came from.",
    "_source_row": "Its line or row in that file, from 1; the sequence number of an event.",
    "_source_modified": "When the source file was last modified, UTC.",
    "_enqueued_time": "When the event arrived at the hub, UTC.",
    "_partition": "The hub's partition.",
    "_sequence_number": "The event's number within its partition.",
}


def partition_field(contract: Contract) -> pa.Field:
    """The column that names the partition a row landed in."""
    return SNAPSHOT if contract.cadence == "snapshot" else LAKE_HOUR


def position_fields(contract: Contract) -> tuple[pa.Field, ...]:
    """The columns that order a data set's rows totally, oldest first, within its partitions."""
    if isinstance(contract.source, EventHubSource):
        return EVENT_POSITION
    if isinstance(contract.source, FileSource):
        return (SOURCE_MODIFIED, SOURCE_FILE, SOURCE_ROW)
    return (INGESTED_AT, SOURCE_FILE, SOURCE_ROW)


def bronze_schema(contract: Contract) -> pa.Schema:
    """Text columns as they came (typed ones from a typed source), what was rescued, and where each row came from."""
    own = [
        pa.field(p.name, arrow_type(p) if contract.typed_source else pa.string()) for p in contract.source_properties
    ]
    return pa.schema([*own, RESCUED, *_metadata(contract), partition_field(contract)])


def quarantine_schema(contract: Contract) -> pa.Schema:
    """Bronze's columns and the reasons a row is kept out of silver."""
    bronze = list(bronze_schema(contract))
    return pa.schema([*bronze[:-1], REASONS, bronze[-1]])


def silver_schema(contract: Contract) -> pa.Schema:
    """The contract's columns in their types, and the row's position, so that readers can order what they read."""
    own = [pa.field(p.name, arrow_type(p), nullable=not p.required) for p in contract.properties]
    if contract.cadence == "snapshot":
        return pa.schema([*own, partition_field(contract)])
    position = [f for f in position_fields(contract) if f is not INGESTED_AT]
    return pa.schema([*own, *position, INGESTED_AT, partition_field(contract)])


def newest_schema(contract: Contract) -> pa.Schema:
    """Silver's columns for the latest valid row of each key, whether a newer one is in quarantine, and since when the
    source has it no more: snapshots lack it, or its table's row was deleted."""
    gone = MISSING_SINCE if contract.cadence == "snapshot" else DELETED_AT
    return silver_schema(contract).append(gone).append(NEWER_IN_QUARANTINE)


def deletions_schema(contract: Contract) -> pa.Schema:
    """The key of a row that its source deleted, and when that was found."""
    keys = [pa.field(p.name, arrow_type(p), nullable=False) for p in contract.keys]
    return pa.schema([*keys, DELETED_AT.with_nullable(False)])


def accepted_schema(contract: Contract) -> pa.Schema:
    """Keys that may be null, and the snapshot."""
    return pa.schema([*(pa.field(p.name, arrow_type(p)) for p in contract.keys), SNAPSHOT])


def arrow_type(prop: Property) -> pa.DataType:
    """The Arrow type of a property in silver."""
    if prop.precision is not None:
        return pa.decimal128(prop.precision, prop.scale or 0)
    return {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": UTC_MICROSECONDS,
        "array": pa.list_(pa.string()),
    }[prop.logical_type]


def _metadata(contract: Contract) -> list[pa.Field]:
    fields = [f for f in position_fields(contract) if f not in (INGESTED_AT, SOURCE_FILE, SOURCE_ROW)]
    return [*fields, SOURCE_FILE, SOURCE_ROW, INGESTED_AT]
