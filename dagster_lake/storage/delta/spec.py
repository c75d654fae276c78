"""What a Delta table of the lake must look like, whichever engine writes it."""

import re
from dataclasses import dataclass

import pyarrow as pa
from upath import UPath

STATISTICS = "delta.dataSkippingStatsColumns"
_PLAIN = re.compile("[A-Za-z0-9_]+")
_LISTED = re.compile("`([^`]*)`|([^,`]+)")


@dataclass(frozen=True)
class TableSpec:
    """What a table must look like: its folder, schema, partition column, and the columns whose minimum and maximum
    must not stand in the log because they are PII in clear."""

    uri: UPath
    schema: pa.Schema
    partition_by: str | None = None
    without_statistics: frozenset[str] = frozenset()
    description: str = ""

    @property
    def name(self) -> str:
        """``layer.table``, as people and commits name it."""
        return f"{self.uri.parent.name}.{self.uri.name}"

    @property
    def statistics(self) -> list[str]:
        """The columns whose minimum and maximum the log keeps."""
        # Where a row came from narrows nothing that its partition does not, and every reader of the log pays for it.
        return [
            column.name
            for column in self.schema
            if column.name not in self.without_statistics
            and not column.name.startswith("_")
            and not pa.types.is_nested(column.type)
            and not pa.types.is_boolean(column.type)  # Spark refuses such a column here
        ]

    @property
    def statistics_property(self) -> str:
        """``statistics`` as the value of ``delta.dataSkippingStatsColumns``.

        A name with other than plain letters is quoted: Spark refuses it else, and delta-rs then keeps the minimum and
        maximum of every column, those of PII included.
        """
        return ",".join(name if _PLAIN.fullmatch(name) else f"`{name}`" for name in self.statistics)

    def statistics_are_wrong(self, told: str | None) -> bool:
        """Whether ``told``, a table's ``delta.dataSkippingStatsColumns``, is one that no table may have: it names a
        column whose values must not stand in the log, or does not quote a name, as earlier versions did not.

        Any other property is left alone: it may have been set on purpose.
        """
        listed = [(quoted or plain, bool(quoted)) for quoted, plain in _LISTED.findall(told or "")]
        return any(name in self.without_statistics or not (quoted or _PLAIN.fullmatch(name)) for name, quoted in listed)
