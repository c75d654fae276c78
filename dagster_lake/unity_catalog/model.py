"""What can be said of one object in Unity Catalog, whether it is wanted or found there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dagster_lake.storage.delta.spec import TableSpec

Kind = Literal["storage credential", "external location", "catalog", "schema", "function", "volume", "table"]

KINDS: tuple[Kind, ...] = (
    "storage credential",
    "external location",
    "catalog",
    "schema",
    "function",
    "volume",
    "table",
)
"""In the order in which they can be made: each needs those before it."""


@dataclass(frozen=True)
class Column:
    """One column of a table; ``mask`` is the full name of the function that hides it, if any."""

    comment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    mask: str = ""


@dataclass(frozen=True)
class Securable:
    """One object by its full name.

    ``settings`` are what it is made of: a location's URL, a function's body. ``grants`` are its own privileges by
    principal, without those inherited. Only tables have ``columns``. ``stays`` says why the object is never dropped.
    ``spec`` is what a wanted table looks like when it has to be made; None for one that only dbt makes.
    """

    kind: Kind
    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    grants: Mapping[str, frozenset[str]] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    stays: str = field(default="", compare=False)
    spec: TableSpec | None = field(default=None, compare=False)


State = Mapping[tuple[Kind, str], Securable]
"""Objects by kind and full name."""


def state_of(securables: list[Securable]) -> dict[tuple[Kind, str], Securable]:
    """The state that consists of these objects."""
    return {(one.kind, one.name): one for one in securables}
