"""How dirty the sources are: one dial per kind of dirt."""

from dataclasses import dataclass, fields
from enum import StrEnum


class Kind(StrEnum):
    """A kind of dirt, as the dirt manifest spells it."""

    DUPLICATE = "duplicate"
    MALFORMED = "malformed"
    EMPTY_CLIENT_IP = "empty_client_ip"
    LATE = "late"
    ORPHAN = "orphan"
    UNKNOWN_FIELD = "unknown_field"
    INVALID_VALUE = "invalid_value"


_FILE_KINDS = frozenset({Kind.DUPLICATE, Kind.MALFORMED, Kind.UNKNOWN_FIELD, Kind.INVALID_VALUE})
_KINDS_OF = {
    "users": _FILE_KINDS,
    "vip_users": _FILE_KINDS,
    "products": _FILE_KINDS - {Kind.DUPLICATE},
    "orders": frozenset[Kind](),
    "order_items": frozenset({Kind.ORPHAN}),
    "pageviews": _FILE_KINDS | {Kind.LATE, Kind.EMPTY_CLIENT_IP},
    "stars": _FILE_KINDS | {Kind.LATE},
}


@dataclass(frozen=True)
class Dirt:
    """Dials, each the share of clean rows it touches, 0 to 1. Dirt never changes the true counts, sums and users.

    - `duplicates`: the same body is sent again, 1 s to 3 h later (files: the same line again, soon after).
    - `empty_client_ip`: `client_ip` is the empty text.
    - `malformed`: an extra line that is no JSON object: a truncated or broken copy, or garbage.
    - `late`: `event_time` is 5 minutes to 6 hours before arrival; the row stays in its arrival hour.
    - `orphans`: an order item refers to a product that does not exist.
    - `unknown_fields`: the row has one more field, which no contract knows.
    - `invalid_values`: an extra row with a fresh id and one or more bad fields.

    Raises `ValueError`, naming the dial, when a rate is not from 0 to 1.
    """

    duplicates: float = 0.01
    empty_client_ip: float = 0.01
    malformed: float = 0.01
    late: float = 0.02
    orphans: float = 0.01
    unknown_fields: float = 0.01
    invalid_values: float = 0.01

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"Dirt.{field.name} is {rate}: give a share from 0 (none) to 1 (every row)")

    @classmethod
    def none(cls) -> "Dirt":
        """Clean sources."""
        return cls(**{field.name: 0.0 for field in fields(cls)})

    @classmethod
    def heavy(cls) -> "Dirt":
        """Sources on a very bad day."""
        return cls(duplicates=0.05, malformed=0.10, late=0.05, invalid_values=0.03, unknown_fields=0.03)

    def rate(self, kind: Kind, data_set: str) -> float:
        """The share of a data set's rows that this kind of dirt touches; 0 where the kind does not apply."""
        if kind not in _KINDS_OF[data_set]:
            return 0.0
        return {
            Kind.DUPLICATE: self.duplicates,
            Kind.MALFORMED: self.malformed,
            Kind.EMPTY_CLIENT_IP: self.empty_client_ip,
            Kind.LATE: self.late,
            Kind.ORPHAN: self.orphans,
            Kind.UNKNOWN_FIELD: self.unknown_fields,
            Kind.INVALID_VALUE: self.invalid_values,
        }[kind]
