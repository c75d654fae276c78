"""The sinks that a stream may declare: where its rows go beside their Delta table."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource
from dagster_lake.streams.parts import Part

SinkKind = Literal["database_table", "files", "event_hub"]
Format = Literal["jsonl", "csv", "parquet"]
KINDS: tuple[SinkKind, ...] = ("database_table", "files", "event_hub")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Of a table or a folder: it is a name in every database, and no path."""
HubName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$")]
_OWN = re.compile("_?lake_sink")
"""How the tables begin in which a database keeps what it has of the lake."""


class SinkDeclaration(Part):
    """One sink: a table of the sinks' database, a folder below ``drops/`` of the lake, or an event hub."""

    database_table: Name | None = None
    files: Name | None = None
    format: Format | None = None
    event_hub: HubName | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "SinkDeclaration":
        named = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            raise ValueError(f"a sink is one of {', '.join(KINDS)}; write each as a sink of its own")
        if (self.format is None) == (self.files is not None):
            raise ValueError("format (jsonl, csv or parquet) is given with files, and with nothing else")
        if self.database_table is not None and _OWN.match(self.database_table):
            raise ValueError(f"{self.database_table} is a name of the lake's own tables; take another")
        return self

    @property
    def kind(self) -> SinkKind:
        """What it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        """The name of the table, folder or hub."""
        return str(getattr(self, self.kind))


def sink_problems(
    streams: Mapping[str, Iterable[SinkDeclaration]], contracts: Iterable[Contract]
) -> list[tuple[str, int, str]]:
    """What is wrong with sinks that each are right alone: the stream, the sink's place in its list, and why."""
    sources = _sources(contracts)
    taken: dict[tuple[str, str], str] = {}
    problems = []
    for stream, sinks in streams.items():
        for place, sink in enumerate(sinks):
            one = (sink.kind, sink.name.lower())  # Azure and SQLite do not tell A from a
            if one in sources:
                why = f"{sink.name} is a source of the lake ({sources[one]}), which would read what it wrote"
            elif one in taken:
                why = f"{sink.name} holds rows of {taken[one]} already, and a sink is one stream's"
            else:
                taken[one] = stream
                continue
            problems.append((stream, place, f"{why}; name another"))
    return problems


def _sources(contracts: Iterable[Contract]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for contract in contracts:
        if isinstance(contract.source, DatabaseSource):
            found["database_table", contract.source.table.lower()] = contract.file
        if isinstance(contract.source, EventHubSource):
            found["event_hub", contract.source.hub.lower()] = contract.file
    return found
