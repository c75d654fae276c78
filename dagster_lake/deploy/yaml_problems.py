"""What is wrong with a YAML file, in one line that leads to the place: line, field, problem, remedy."""

import re
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


def first_problem(error: ValidationError, text: str, model: type[BaseModel]) -> str:
    """The first problem of a document that does not fit ``model``: ``12: owner: is missing; say who ...``.

    The value is shown, unless the field has ``repr=False``.
    """
    # A misspelt field is also a missing one; only the first says what to correct.
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    path = tuple(part for part in first["loc"] if part != "[key]")  # which pydantic puts behind a key that is wrong
    line, place = _line(text, path), ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        siblings = list(_walked(path[:-1], model)[0].model_fields)
        near = get_close_matches(str(path[-1]), siblings, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"remove it; the fields are {', '.join(siblings)}"
        return f"{line}: {place}: is not a field; {remedy}"
    said = re.sub("^Value error, ", "", first["msg"])
    if not place or (isinstance(first["input"], dict) and first["type"] == "value_error"):
        return f"{line}: {place + ': ' if place else ''}{said}"
    field = _walked(path, model)[1]
    remedy = f"; {field.description}" if field and field.description else ""
    if field and not field.repr:
        value = "what is given"
    else:
        value = str(first["input"]) if isinstance(first["input"], date) else repr(first["input"])
    problem = {
        "missing": "is missing",
        "string_pattern_mismatch": f"{value} is not of the form wanted",
        "value_error": f"{value} {said}",
    }.get(first["type"], f"{value}: {said}")
    return f"{line}: {place}: {problem}{remedy}"


def _line(text: str, path: Sequence[str | int]) -> int:
    """The line of what ``path`` leads to; of the last part of it that is there."""
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 0
    for part in path:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return line + 1


def _walked(path: Sequence[str | int], model: type[BaseModel]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The model that ``path`` leads into, and the last field on the way."""
    field = None
    for part in path:
        if (found := model.model_fields.get(str(part))) is not None:
            field, model = found, _model_in(found.annotation) or model
    return model, field


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
