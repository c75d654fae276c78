"""The project's temporal macros rendered without dbt, so that a test can ask thousands of questions in seconds.

dbt gives each macro a template of its own whose globals are all macros; so does this. ``return``, ``adapter.dispatch``,
``var``, ``source``, ``model``, ``flags`` and ``exceptions`` mean what they mean to dbt.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import jinja2
import yaml

_PROJECT = Path(__file__).parents[2] / "dbt"
_MACROS = _PROJECT / "macros" / "lake"
_VARIABLES = yaml.safe_load((_PROJECT / "dbt_project.yml").read_text())["vars"]["dagster_lake"]
_ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do"])
_MACRO = re.compile(r"{%-?\s*macro\s+(\w+).*?{%-?\s*endmacro\s*-?%}", re.DOTALL)


class CompilerError(Exception):
    """What a macro raised by ``exceptions.raise_compiler_error``."""


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class Macros:
    """Every macro of the lake, as a method that gives SQL in the words of ``dialect``: duckdb or spark.

    ``variables`` are dbt's vars, beside those of dbt_project.yml; ``look_back_hours`` is the meta of the model at work.
    A source is the relation that ``sources`` gives for its table, or one of the same name: silver's pageviews are
    ``pageviews``.
    """

    def __init__(
        self,
        dialect: str,
        variables: Mapping[str, Any] | None = None,
        look_back_hours: int | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        self.dialect = dialect
        meta = {} if look_back_hours is None else {"look_back_hours": look_back_hours}
        reads = SimpleNamespace(nodes=[f"source.dagster_lake.silver.{name}" for name in sources or {}])
        self._globals: dict[str, Any] = {
            "adapter": SimpleNamespace(dispatch=lambda name, _package: self._dispatched(dialect, name)),
            "exceptions": SimpleNamespace(raise_compiler_error=_raise),
            "execute": True,
            "flags": SimpleNamespace(FULL_REFRESH=False),
            "model": {"name": "model_at_work", "config": SimpleNamespace(meta=meta), "depends_on": reads},
            "modules": SimpleNamespace(datetime=datetime),
            "return": _return,
            "source": lambda _schema, table: dict(sources or {}).get(table, table),
            "source_hours": self._source_hours,
            "var": {**_VARIABLES, **(variables or {})}.get,
        }
        for name, template in _TEMPLATES.items():
            self._globals.setdefault(name, _caller(name, template, self._globals))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self._globals[name]
        except KeyError:
            raise AttributeError(f"dbt/macros/lake has no macro {name}") from None

    def render(self, text: str, **macros: Callable[..., Any]) -> str:
        """A text with macros in it, some of them the caller's own."""
        return _ENVIRONMENT.from_string(text).render(self._globals | macros)

    def _source_hours(self, schema: str, table: str) -> str:
        """Without dbt's graph: the rows of the hours of silver that the model at work reads."""
        rows, hours = self._globals["source"](schema, table), self.stream_reads()
        return rows if hours in (None, "all") else f"(select * from {rows} where {self.is_one_of('_lake_hour', hours)})"

    def _dispatched(self, dialect: str, name: str) -> Callable[..., Any]:
        return self._globals.get(f"{dialect}__{name}") or self._globals[f"default__{name}"]


def _caller(name: str, template: jinja2.Template, of: dict[str, Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        macro = getattr(template.make_module(of), name)
        try:
            return str(macro(*arguments, **named))
        except _Return as returned:
            return returned.value

    return call


def _return(value: Any) -> NoReturn:
    raise _Return(value)


def _raise(message: str) -> NoReturn:
    raise CompilerError(message)


def _templates() -> dict[str, jinja2.Template]:
    found = {}
    for file in [*_MACROS.glob("*.sql"), *_MACROS.glob("temporal/*.sql")]:
        for macro in _MACRO.finditer(file.read_text(encoding="utf-8")):
            found[macro[1]] = _ENVIRONMENT.from_string(macro[0])
    return found


_TEMPLATES = _templates()
