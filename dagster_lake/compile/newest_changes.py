"""The latest valid version of each key of a database table, from its changes: SQL for the hours that were made again.

The table is a function of all changes, what is quarantined, and the deletions. It is kept by the hours: the keys that
these hours ``touched`` are looked at, and nothing else. What else is read follows from what became of them:

- A key's present row came from one of the hours, and the hour has it no more, or older: the key is ``lost``, and its
  latest version is looked for in the ``history``, all changes that may hold the key.
- A version of the key is in the hours' quarantine, or was once: whether a newer one is in quarantine is ``unsure``, and
  is looked up in ``doubted``, the quarantine of the hours from the row's own on.

An hour that is made for the first time has neither but for its own rows, so that its cost does not grow with history.

Relations that the engine offers: ``changes`` and ``quarantined``, rows of the hours; ``questioned``, the keys that were
ever in the quarantine of the hours; ``target``, the table's rows, at least those of the hours and of touched keys;
``history``, ``doubted`` and ``deletions`` as above. ``touched``, ``present``, ``lost``, ``winners`` and ``unsure`` are
the SELECTs below, one building on the other.
"""

from collections.abc import Collection

from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import placed_keys_select
from dagster_lake.contract.columns import DELETED_AT, LAKE_HOUR, NEWER_IN_QUARANTINE, position_fields, silver_schema
from dagster_lake.contract.model import Contract, DatabaseSource

GONE = "_gone"
"""Of a row to merge: whether the key has no valid version left, so that its row is to be deleted."""


class NewestChanges:
    """The SELECTs of one contract in one dialect."""

    def __init__(self, contract: Contract, dialect: Dialect) -> None:
        assert isinstance(contract.source, DatabaseSource)
        self.contract = contract
        self.dialect = dialect
        self._written = dialect.identifier(contract.source.updated_at)
        self._age = [self._written, *(f.name for f in position_fields(contract))]
        self._keys = [dialect.identifier(p.name) for p in contract.keys]
        self._columns = [dialect.identifier(name) for name in silver_schema(contract).names]
        self._using = f"USING ({', '.join(self._keys)})"

    def quarantined_keys(self) -> str:
        """The keys and hours in ``quarantined``."""
        return (
            f"SELECT DISTINCT {self._list('', self._keys)}, {LAKE_HOUR.name} "
            f"FROM ({placed_keys_select(self.contract, self.dialect, 'quarantined')}) WHERE {self._known()}"
        )

    def touched(self, hours: Collection[str]) -> str:
        """The keys that the hours may have changed: those of their rows, and of the rows that the table has of them."""
        keys = self._list("", self._keys)
        return (
            f"SELECT {keys} FROM changes UNION SELECT {keys} FROM ({self.quarantined_keys()}) "
            f"UNION SELECT {keys} FROM questioned UNION SELECT {keys} FROM target WHERE {self._of(hours)}"
        )

    def present(self) -> str:
        """The rows that the table has of ``touched`` keys."""
        return f"SELECT * FROM target SEMI JOIN touched {self._using}"

    def lost(self, hours: Collection[str]) -> str:
        """The keys whose present row came from the hours, which no longer hold it or anything newer."""
        return f"SELECT {self._list('', self._keys)} FROM ({self._best()}) WHERE NOT _is_here AND {self._of(hours)}"

    def winners(self) -> str:
        """The latest valid version of each key of ``touched``, for those of which there is one."""
        found = f"SELECT * FROM history SEMI JOIN lost {self._using}"
        columns = self._list("", self._columns)
        return (
            f"SELECT {columns} FROM ({self._best()}) ANTI JOIN lost {self._using} "
            f"UNION ALL SELECT {columns} FROM ({self._ranked(found, '_age_rank', self._age)}) WHERE _age_rank = 1"
        )

    def unsure(self) -> str:
        """The keys, age and hour of those ``winners`` of which is not known whether a newer one is in quarantine."""
        same = " AND ".join(f"p.{column} = w.{column}" for column in self._age)
        return (
            f"SELECT {self._list('w', [*self._keys, *self._age, LAKE_HOUR.name])} FROM winners w "
            f"LEFT JOIN present p ON {self._equal('p', 'w')} "
            f"LEFT JOIN (SELECT {self._list('', self._keys)} FROM ({self.quarantined_keys()}) "
            f"UNION SELECT {self._list('', self._keys)} FROM questioned) q ON {self._equal('q', 'w')} "
            f"WHERE q.{self._keys[0]} IS NOT NULL OR NOT coalesce({same}, false)"
        )

    def rows(self) -> str:
        """The rows to merge: those of ``touched`` keys that differ from what the table has."""
        added = ", ".join([DELETED_AT.name, NEWER_IN_QUARANTINE.name])
        newer = (
            f"SELECT DISTINCT {self._list('u', self._keys)} FROM unsure u "
            f"JOIN ({placed_keys_select(self.contract, self.dialect, 'doubted')}) q ON {self._equal('q', 'u')} "
            f"WHERE {_newer('q', 'u', self._age)}"
        )
        wanted = (
            f"SELECT {self._list('w', self._columns)}, "
            f"CASE WHEN d.{DELETED_AT.name} >= w.{self._written} THEN d.{DELETED_AT.name} END AS {DELETED_AT.name}, "
            f"CASE WHEN u.{self._keys[0]} IS NULL THEN coalesce(p.{NEWER_IN_QUARANTINE.name}, false) "
            f"ELSE n.{self._keys[0]} IS NOT NULL END AS {NEWER_IN_QUARANTINE.name} FROM winners w "
            f"LEFT JOIN present p ON {self._equal('p', 'w')} LEFT JOIN deletions d ON {self._equal('d', 'w')} "
            f"LEFT JOIN (SELECT DISTINCT {self._list('', self._keys)} FROM unsure) u ON {self._equal('u', 'w')} "
            f"LEFT JOIN ({newer}) n ON {self._equal('n', 'w')}"
        )
        columns = f"{self._list('', self._columns)}, {added}"
        return (
            f"SELECT *, false AS {GONE} FROM ({wanted} EXCEPT SELECT {columns} FROM present) "
            f"UNION ALL SELECT {columns}, true AS {GONE} FROM present ANTI JOIN winners {self._using}"
        )

    def _best(self) -> str:
        """The newer one of each key's present row and its newest one in ``changes``, the latter when they are equal:
        what is made again may say something else of the same version."""
        columns = self._list("", self._columns)
        both = f"SELECT {columns}, false AS _is_here FROM present UNION ALL SELECT {columns}, true FROM changes"
        return f"SELECT * FROM ({self._ranked(both, '_best_rank', [*self._age, '_is_here'])}) WHERE _best_rank = 1"

    def _ranked(self, select: str, name: str, order: list[str]) -> str:
        newest_first = ", ".join(f"{column} DESC" for column in order)
        over = f"row_number() OVER (PARTITION BY {', '.join(self._keys)} ORDER BY {newest_first})"
        return f"SELECT *, {over} AS {name} FROM ({select})"

    def _of(self, hours: Collection[str]) -> str:
        return f"{LAKE_HOUR.name} IN ({self.dialect.texts(sorted(hours))})" if hours else "false"

    def _known(self) -> str:
        return " AND ".join(f"{key} IS NOT NULL" for key in self._keys)

    def _equal(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{key} = {right}.{key}" for key in self._keys)

    @staticmethod
    def _list(alias: str, columns: list[str]) -> str:
        # A column may be named twice: a key, or the time of writing, that is an order's column as well.
        return ", ".join(f"{alias}.{column}" if alias else column for column in dict.fromkeys(columns))


def _newer(left: str, right: str, age: list[str]) -> str:
    """Whether ``left`` is newer than ``right`` by the columns ``age``, the first one weighing most."""
    first, *others = age
    newer = f"{left}.{first} > {right}.{first}"
    return f"({newer} OR ({left}.{first} = {right}.{first} AND {_newer(left, right, others)}))" if others else newer
