"""A step that fails because a table is damaged says which table and file, and the command that mends it.

What the engines and their libraries say of a missing or broken file differs, and names it at best. So after a failure,
and only then, the tables that the step had to do with are looked at.
"""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from upath import UPath

from dagster_lake.contract.model import Contract
from dagster_lake.errors import LakeError
from dagster_lake.storage.damage import TableDamaged, table_name
from dagster_lake.storage.paths import LAYERS, Lake
from dagster_lake.storage.tables import tables_of

_Method = TypeVar("_Method", bound=Callable[..., Any])
_NAME = re.compile(r"[\w-]+")


def tells_damage(method: _Method) -> _Method:
    """Of an engine's ``run`` and ``check``: raises TableDamaged in place of what a damaged table makes them raise."""

    @functools.wraps(method)
    def told(engine: Any, task: Any) -> Any:
        try:
            return method(engine, task)
        except LakeError:
            raise
        except Exception as error:
            if engine.settings.catalog is not None:
                raise
            damaged = _damage_behind(engine, task)
            if damaged is None:
                raise
            raise damaged from error

    return told  # type: ignore[return-value]


def _damage_behind(engine: Any, task: Any) -> TableDamaged | None:
    """The damage of a table that the task concerns, where it can be looked at: a Databricks cluster has no delta-rs,
    and whatever a look raises must not stand in the place of why the step failed."""
    try:
        return damage_of(table for one in _concerned(engine, task) for table in tables_of(engine.lake, one))
    except Exception:
        return None


def damage_of(tables: Iterable[UPath]) -> TableDamaged | None:
    """The damage of the first damaged one of the tables, as an error to raise."""
    from dagster_lake.storage.examine import table_faults

    for uri in tables:
        if found := table_faults(uri):
            return TableDamaged(table_name(uri), found)
    return None


def damage_told_by(text: str, lake: Lake) -> TableDamaged | None:
    """The damage behind an error of which only the text is left, by the tables whose folders it names."""
    places = (lake.root / "sensitive", lake.root)
    folders = [folder for place in places for layer in LAYERS if (folder := place / layer) and f"{folder}/" in text]
    # A table's folder may end a sentence, too.
    names = [(folder, _NAME.match(text.partition(f"{folder}/")[2])) for folder in folders]
    return damage_of(folder / name[0] for folder, name in names if name)


def _concerned(engine: Any, task: Any) -> list[Contract]:
    own = engine.contracts[task.data_set]
    referenced = {prop.references[0] for prop in own.properties if prop.references}
    return [own, *(engine.contracts[name] for name in sorted(referenced) if name in engine.contracts)]
