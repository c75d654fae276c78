"""Two tables of the same rows compared hour by hour, with what differs said so that a person can look it up."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from dagster_lake.storage.duckdb.scan import literal, quoted


@dataclass(frozen=True)
class Shape:
    """What is compared: rows by their ``key``, in it the ``values``; of these, ``floats`` are doubles.

    ``float_tolerance`` is the share by which two doubles may differ, ``row_tolerance`` the share of an hour's rows
    that may.
    """

    key: tuple[str, ...]
    values: tuple[str, ...]
    floats: frozenset[str] = frozenset()
    float_tolerance: float = 0.0
    row_tolerance: float = 0.0


@dataclass(frozen=True)
class Hour:
    """One lake hour: rows here and there, rows delivered again, and rows that are not alike."""

    hour: str
    ours: int
    theirs: int
    repeated: int
    only_ours: int
    only_theirs: int
    differing: int

    def agrees(self, shape: Shape) -> bool:
        """Whether no more rows differ than may."""
        unlike = self.only_ours + self.only_theirs + self.differing
        return unlike <= shape.row_tolerance * max(self.ours, self.theirs)


@dataclass(frozen=True)
class Difference:
    """One row that is not alike: its key, and what is the matter."""

    hour: str
    key: str
    what: str


@dataclass(frozen=True)
class Comparison:
    """The hours, in order, and the first differences of those that do not agree."""

    hours: list[Hour]
    differences: list[Difference]

    def disagreeing(self, shape: Shape) -> list[Hour]:
        """The hours with more differences than may be."""
        return [hour for hour in self.hours if not hour.agrees(shape)]


def compare(
    con: duckdb.DuckDBPyConnection, ours: str, theirs: str, hours: Sequence[str], shape: Shape, *, shown: int = 10
) -> Comparison:
    """Compares two relations of ``con``, named or as SQL, which have ``_lake_hour`` and the columns of ``shape``.

    A row of ``theirs`` that is there twice, alike to the last column, was delivered twice and counts once. Only rows
    of ``hours`` are looked at. Of the differences, the first ``shown`` by hour and key are given.
    """
    columns = ", ".join(map(quoted, ("_lake_hour", *shape.key, *shape.values)))
    wanted = f"_lake_hour IN ({', '.join(map(literal, hours)) or 'NULL'})"
    con.execute(f"CREATE OR REPLACE TEMP TABLE ours AS SELECT {columns} FROM {ours} WHERE {wanted}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE theirs AS SELECT {columns}, count(*) - 1 AS _repeated FROM {theirs} "
        f"WHERE {wanted} GROUP BY ALL"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE compared AS {_compared_sql(shape)}")
    found = con.execute(
        """
        SELECT _lake_hour, count(*) FILTER (here), count(*) FILTER (there), sum(repeated)::BIGINT,
            count(*) FILTER (NOT there), count(*) FILTER (NOT here),
            count(*) FILTER (here AND there AND what <> '')
        FROM compared GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    by_hour = {row[0]: Hour(*row) for row in found}
    compared = [by_hour.get(hour, Hour(hour, 0, 0, 0, 0, 0, 0)) for hour in sorted(hours)]
    unlike = [hour.hour for hour in compared if not hour.agrees(shape)]
    differences = con.execute(
        f"SELECT _lake_hour, key, what FROM compared WHERE what <> '' "
        f"AND _lake_hour IN ({', '.join(map(literal, unlike)) or 'NULL'}) ORDER BY ALL LIMIT {shown:d}"
    ).fetchall()
    return Comparison(compared, [Difference(*row) for row in differences])


def _compared_sql(shape: Shape) -> str:
    """Every row of either side by its key, with ``what`` is the matter; nothing where the two are alike."""
    key = ", ".join(f"{literal(c + ' ')} || {_text(f'key_{n}')}" for n, c in enumerate(shape.key))
    keys = ", ".join(f"coalesce(o.{quoted(c)}, t.{quoted(c)}) AS key_{n}" for n, c in enumerate(shape.key))
    alike = " AND ".join(f"o.{quoted(c)} IS NOT DISTINCT FROM t.{quoted(c)}" for c in ("_lake_hour", *shape.key))
    values = ", ".join(
        f"CASE WHEN {_differs(c, shape)} THEN {literal(c + ': ')} || {_text(f'o.{quoted(c)}')} || ' here, ' || "
        f"{_text(f't.{quoted(c)}')} || ' there' END"
        for c in shape.values
    )
    return f"""
        WITH joined AS (
            SELECT coalesce(o._lake_hour, t._lake_hour) AS _lake_hour, {keys},
                o._lake_hour IS NOT NULL AS here, t._lake_hour IS NOT NULL AS there,
                coalesce(t._repeated, 0) AS repeated,
                CASE WHEN t._lake_hour IS NULL THEN 'only here' WHEN o._lake_hour IS NULL THEN 'only there'
                    ELSE concat_ws('; ', {values or "NULL"}) END AS what
            FROM ours AS o FULL JOIN theirs AS t ON {alike}
        )
        SELECT _lake_hour, concat_ws(', ', {key}) AS key, here, there, repeated, what FROM joined
    """


def _differs(column: str, shape: Shape) -> str:
    ours, theirs = f"o.{quoted(column)}", f"t.{quoted(column)}"
    differs = f"{ours} IS DISTINCT FROM {theirs}"
    if column not in shape.floats:
        return differs
    near = f"abs({ours} - {theirs}) <= {shape.float_tolerance!r} * greatest(abs({ours}), abs({theirs}))"
    return f"{differs} AND NOT coalesce({near}, false)"


def _text(value: str) -> str:
    return f"coalesce(CAST({value} AS VARCHAR), 'nothing')"
