"""What was delivered to the lake: noted at each landing from the sources, never from the lake's own files."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from tests.simulation.outside import TABLES, Line, Row


@dataclass
class Snapshot:
    """An export that raw holds under ``key``; ``accepted`` when somebody said to take it although it shrank."""

    key: str
    files: dict[str, str]
    lines: list[Line]
    accepted: bool = False


@dataclass
class Delivered:
    """Versions of database rows in order of landing, each once by content, and exports in order."""

    versions: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in TABLES})
    snapshots: dict[str, list[Snapshot]] = field(default_factory=dict)

    def rows(self, table: str, rows: Iterable[Row]) -> None:
        """An hour of a table was landed, with these rows; those that were landed before do not come again."""
        held = self.versions[table]
        for row in rows:
            same = [version for version in held if _version(version) == _version(row)]
            if not same or same[-1] != row:
                held.append(row)

    def has(self, table: str, row: Row) -> bool:
        """Whether some copy of this version of a row was landed."""
        return any(_version(version) == _version(row) for version in self.versions[table])

    def export(self, data_set: str, key: str, files: dict[str, tuple[datetime, str]], lines: list[Line]) -> None:
        """A folder of exports was landed as a new snapshot."""
        texts = {name: text for name, (_, text) in files.items()}
        self.snapshots.setdefault(data_set, []).append(Snapshot(key, texts, lines))

    def is_new(self, data_set: str, files: dict[str, tuple[datetime, str]]) -> bool:
        """Whether a folder's names and contents differ from the last snapshot's."""
        before = self.snapshots.get(data_set, [])
        return not before or before[-1].files != {name: text for name, (_, text) in files.items()}


def _version(row: Row) -> tuple[object, ...]:
    return row["order_id"], row.get("row_id"), row["updated_at"]
