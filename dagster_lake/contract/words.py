"""The words that a contract may use. One that nothing acts on is refused, not ignored in silence."""

from collections.abc import Iterator
from typing import Any, Literal

from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import BaseModel

Classification = Literal["public", "internal", "confidential", "restricted"]
Problem = tuple[str, str, str]
"""Where, what is wrong, and the remedy."""

CLASSIFICATIONS: dict[str, Classification] = {
    "public": "public",
    "internal": "internal",
    "confidential": "confidential",
    "restricted": "restricted",
    "pii": "confidential",
    "personal": "confidential",
    "sensitive": "confidential",
}
"""What a field may be classified as, in whatever case, and what is meant."""

CUSTOM_PROPERTIES = ("source", "zone", "max_bad_share", "reconcile")
"""The ``customProperties`` of a contract that something acts on."""

SERVICE_LEVELS = ("latency", "retention")

_ON_A_PROPERTY = "say it on a property"
_OF_SCHEMAS = {"quality": _ON_A_PROPERTY, "relationships": _ON_A_PROPERTY, "customProperties": _ON_A_PROPERTY}
_OF_PROPERTIES = {
    "unique": "mark the key with primaryKey: true, or remove it",
    "partitioned": "remove it: tables are partitioned by lake hour or snapshot",
    "encryptedName": "remove it, and mask the field with customProperties: - property: masking",
    "enum": "use quality: - metric: invalidValues with arguments.validValues and mustBe: 0",
    "properties": "only flat fields are supported: declare the parent as a string, or leave it to _rescued_data",
    "map": "only flat fields are supported",
}
_OF_ITEMS = ("logicalTypeOptions", "quality", "classification", "customProperties", "required", *_OF_PROPERTIES)


def classification_of(word: str | None) -> Classification | None:
    """What a classification means, compared without case; public where there is none, None for an unknown word."""
    return CLASSIFICATIONS.get(word.strip().lower()) if word else "public"


def problems(data: dict[str, Any], document: OpenDataContractStandard) -> Iterator[Problem]:
    """Every statement of a contract, as YAML and as read from it, that nothing would act on."""
    yield from _unknown_fields(data, document, "")
    yield from _names("customProperties", [c.property for c in document.customProperties or []], CUSTOM_PROPERTIES)
    yield from _names("slaProperties", [s.property for s in document.slaProperties or []], SERVICE_LEVELS)
    for schema in document.schema_ or []:
        yield from _of_schema(schema)


def _unknown_fields(data: Any, model: Any, where: str) -> Iterator[Problem]:
    """What the standard's model drops without a word: fields that it does not know, such as misspelt ones."""
    if isinstance(model, list) and isinstance(data, list):
        for index, (inner, one) in enumerate(zip(data, model, strict=False)):
            name = inner.get("name") if isinstance(inner, dict) else None
            yield from _unknown_fields(inner, one, f"{where}.{name or index}")
    if not isinstance(model, BaseModel) or not isinstance(data, dict):
        return
    fields = {field.alias or name: name for name, field in type(model).model_fields.items()}
    for key, inner in data.items():
        here = f"{where}.{key}".lstrip(".")
        if key in fields:
            yield from _unknown_fields(inner, getattr(model, fields[key]), here)
        else:
            yield here, "is no field of the standard", f"correct or remove it; there are {', '.join(sorted(fields))}"


def _names(where: str, given: list[str | None], known: tuple[str, ...]) -> Iterator[Problem]:
    for name in given:
        if name not in known:
            yield f"{where}.{name}", "is unknown, and nothing would act on it", f"use {', '.join(known)}, or remove it"
        elif given.count(name) > 1:
            yield f"{where}.{name}", "is there more than once", "leave one"


def _of_schema(schema: SchemaObject) -> Iterator[Problem]:
    for field, remedy in _OF_SCHEMAS.items():
        if getattr(schema, field):
            yield f"schema.{field}", "is acted on by nothing", remedy
    for prop in schema.properties or []:
        yield from _of_property(prop)


def _of_property(prop: SchemaProperty) -> Iterator[Problem]:
    for field, remedy in _OF_PROPERTIES.items():
        if getattr(prop, field) and not (field == "unique" and prop.primaryKey):
            yield f"{prop.name}.{field}", "is acted on by nothing", remedy
    for field in _OF_ITEMS:
        if prop.items is not None and getattr(prop.items, field):
            yield f"{prop.name}.items.{field}", "is acted on by nothing", "remove it: an item is any text"
    if prop.physicalName and prop.physicalName != prop.name:
        yield f"{prop.name}.physicalName", "is another name", "name the property as the source names its field"
    for field in ("quality", "relationships", "transformSourceObjects", "customProperties"):
        if len(getattr(prop, field) or []) > 1:
            yield f"{prop.name}.{field}", "are several, and one is acted on", "leave one"
    if prop.transformSourceObjects and not prop.transformLogic:
        yield f"{prop.name}.transformSourceObjects", "is there without transformLogic", "add it, or remove both"
    if classification_of(prop.classification) is None:
        yield (
            f"{prop.name}.classification",
            f"{prop.classification!r} is unknown",
            f"use one of {', '.join(CLASSIFICATIONS)}",
        )
