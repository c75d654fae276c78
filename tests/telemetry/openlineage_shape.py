"""Holds JSON events against OpenLineage's schemas, as the classes that openlineage-python generates of them know them.

The classes check little by themselves, and nothing of what has been sent: here every field of the JSON must be one of
the class's, of its type, with none missing that has no default, and every facet the one that its _schemaURL names.
"""

import pkgutil
import types
from enum import Enum
from importlib import import_module
from typing import Any, Union, get_args, get_origin, get_type_hints

import attr
from openlineage.client import generated
from openlineage.client.generated.base import BaseFacet, RunEvent


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with a run event; empty when nothing is."""
    return list(_object(event, RunEvent, "event"))


def _facets() -> dict[str, type]:
    """Every class of a facet by the address of its schema."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for one in vars(import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(one, type) and issubclass(one, BaseFacet):
                found[one._get_schema()] = one
    return found


_FACETS = _facets()


def _object(document: Any, cls: type, at: str) -> list[str]:
    if not isinstance(document, dict):
        return [f"{at}: {document!r} is no object"]
    hints = get_type_hints(cls)
    fields = {field.name: field for field in attr.fields(cls)}
    found = [f"{at}.{name}: is not in the schema" for name in document if name not in fields]
    for name, field in fields.items():
        if name in document:
            found += _value(document[name], hints[name], f"{at}.{name}")
        elif field.default is attr.NOTHING:
            found.append(f"{at}.{name}: is missing")
    return found


def _value(value: Any, hint: Any, at: str) -> list[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        tried = [_value(value, one, at) for one in arguments if one is not type(None)]
        return [] if [] in tried else tried[0]
    if hint is Any:
        return []
    if origin is list:
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no list"]
        return [p for index, one in enumerate(value) for p in _value(one, arguments[0], f"{at}[{index}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{at}: {value!r} is no object"]
        return [p for name, one in value.items() for p in _value(one, arguments[1], f"{at}.{name}")]
    if isinstance(hint, type) and issubclass(hint, BaseFacet):
        facet = _FACETS.get(value.get("_schemaURL", "")) if isinstance(value, dict) else None
        if facet is None or not issubclass(facet, hint):
            return [f"{at}: is no {hint.__name__}"]
        return _object(value, facet, at)
    if attr.has(hint):
        return _object(value, hint, at)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [] if value in [one.value for one in hint] else [f"{at}: {value!r} is none of its values"]
    right = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    return [] if right else [f"{at}: {value!r} is no {hint.__name__}"]
