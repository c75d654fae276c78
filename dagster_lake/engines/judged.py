"""Which notes of withheld and accepted loads still hold: raw and the rules are as they were when they were written."""

import hashlib
import json
from importlib.metadata import version

from dagster_lake.compile.bronze import bronze_select
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.silver import quarantine_select
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.manifest import Manifest, read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.refusals import Note, notes
from dagster_lake.storage.tables import bronze_table


def notes_that_hold(lake: Lake, contract: Contract) -> dict[str, Note]:
    """The notes of a data set, by partition, that were written of what raw holds now, under the rules of now."""
    found = notes(lake, contract.name)
    rules = rules_of(contract) if found else ""
    return {p: note for p, note in found.items() if note.rules == rules and note.raw == raw_of(lake, contract, p)}


def accepted_loads(lake: Lake, contract: Contract) -> tuple[str, ...]:
    """The partitions that a person accepted as they are."""
    return tuple(p for p, note in notes_that_hold(lake, contract).items() if not note.refused)


def rules_of(contract: Contract) -> str:
    """A fingerprint of all that decides on a load but its rows: the contract as compiled, and our own version."""
    dialect = DuckDBDialect()
    parts = (bronze_select(contract, dialect), quarantine_select(contract, dialect), str(contract.max_bad_share))
    return hashlib.sha256("\0".join((*parts, version("dagster-lake"))).encode()).hexdigest()[:16]


def raw_of(lake: Lake, contract: Contract, partition: str) -> str | None:
    """A fingerprint of what raw holds of a load; None when it was never landed."""
    manifest = _manifest(lake, contract, partition)
    return None if manifest is None else _fingerprint(manifest)


def raw_read(lake: Lake, contract: Contract, partition: str) -> str | None:
    """``raw_of``, provided that bronze was made of it; None where raw has moved on since."""
    manifest, bronze = _manifest(lake, contract, partition), delta.pin(bronze_table(lake, contract).uri)
    if manifest is None or bronze is None or bronze.rows([partition]) != manifest.rows:
        return None
    landed = max((a.landed_at for a in manifest.attempts if sum(f.rows for f in a.files)), default=None)
    bounds = bronze.bounds("_ingested_at", [partition])
    same = bounds is None or landed is None or _milliseconds(bounds[1]) == _milliseconds(landed)
    return _fingerprint(manifest) if same else None


def _milliseconds(moment: object) -> int:
    return int(moment.timestamp() * 1000)  # type: ignore[attr-defined]


def _manifest(lake: Lake, contract: Contract, partition: str) -> Manifest | None:
    return read_manifest(lake.raw_partition(contract.name, partition, sensitive=contract.sensitive))


def _fingerprint(manifest: Manifest) -> str:
    files = [(attempt.number, file.sha256, file.rows) for attempt in manifest.attempts for file in attempt.files]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
