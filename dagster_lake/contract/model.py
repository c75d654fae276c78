"""Data contracts: Open Data Contract Standard 3.1 YAML, read into small frozen dataclasses.

A contract is the only file a new data set needs. What the standard has a field for is said in that field; what it
has none for (where the data comes from, how a field is masked or derived) is said in ``customProperties``. Every
error names the file, the field and the remedy.
"""

import dataclasses
import math
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal, cast

import yaml
from open_data_contract_standard.model import (
    OpenDataContractStandard,
    SchemaProperty,
    ServiceLevelAgreementProperty,
    Team,
)
from pydantic import ValidationError

from dagster_lake.contract.patterns import PatternError, common_pattern
from dagster_lake.contract.words import classification_of, problems
from dagster_lake.errors import LakeError
from dagster_lake.settings.channel_names import CHANNEL_NAME, HOSTS_OF_SERVICES

CONTRACTS_FOLDER: Traversable = resources.files("dagster_lake") / "contracts"  # on a cluster, inside the zipped wheel

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp", "array"]
Masking = Literal["hmac", "redact", "partial"]
Zone = Literal["sensitive", "open"]
DERIVATIONS = ("sex_of_birth_number", "age_band_of_birth_number")
_TYPES = ("string", "integer", "number", "boolean", "date", "timestamp", "array")
_MASKINGS = ("hmac", "redact", "partial")
_SENSITIVE = ("restricted", "confidential")
_CAPTURE_FOLDER = re.compile(r"^(abfss://[^/@\s]+@[^/\s]+|\w[\w.-]*)(/\w[\w.-]*)*/?$", re.ASCII)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_RULES: dict[str, tuple[tuple[str, ...], str, Callable[[Any], bool]]] = {
    "minimum": (("number", "integer"), "a number", _is_finite),
    "maximum": (("number", "integer"), "a number", _is_finite),
    "minLength": (("string",), "a whole number, 0 or more", _is_length),
    "maxLength": (("string",), "a whole number, 0 or more", _is_length),
    "pattern": (("string",), "a regular expression", _is_text),
}


class ContractError(LakeError):
    """A contract that cannot be used: the message names the file, the field and the remedy."""


@dataclass(frozen=True)
class FileSource:
    """Files dropped into ``landing/<data set>``: JSON lines, or one JSON document a file.

    ``files`` says whether all that lie there are one snapshot together, or only the latest one is. ``marker`` names a
    file that whoever delivers writes last, each time; without it a delivery is whole when it has stopped changing.
    """

    format: Literal["json_lines", "json_document"]
    files: Literal["all_files", "latest_file"] = "all_files"
    marker: str | None = None
    kind: Literal["files"] = "files"


@dataclass(frozen=True)
class EventHubSource:
    """Events of one hub, taken by arrival time.

    ``capture`` is where Event Hubs Capture writes them, and they are then read from: a folder below ``landing/``, or an
    address in ADLS Gen2. Without it they are read from the hub.
    """

    hub: str
    capture: str | None = None
    kind: Literal["event_hub"] = "event_hub"


@dataclass(frozen=True)
class DatabaseSource:
    """Rows of one table, taken by the column that says when a row was last written.

    Where it is null, the first of the columns ``fallback`` that is not counts in its place, and is then silver's
    ``updated_at``, too. Times without a zone are in ``time_zone``.
    """

    table: str
    updated_at: str
    fallback: tuple[str, ...] = ()
    time_zone: str = "UTC"
    kind: Literal["database"] = "database"


Source = FileSource | EventHubSource | DatabaseSource


@dataclass(frozen=True)
class Property:
    """One column of silver, and how it is made from the source's field of the same name.

    ``precision`` and ``scale`` are set for exact decimals; ``pattern``, ``minimum``, ``maximum``, ``min_length``,
    ``max_length`` and ``allowed`` are rules that send a row to quarantine. ``references`` is ``(data set, field)``.
    """

    name: str
    logical_type: LogicalType
    description: str
    required: bool = False
    key: bool = False
    precision: int | None = None
    scale: int | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    masking: Masking | None = None
    derivation: str | None = None
    derived_from: str | None = None
    references: tuple[str, str] | None = None
    classification: str = "public"


@dataclass(frozen=True)
class Channel:
    """Who is told of a data set's alerts and failures, by the name under which settings give the address. One that is
    ``logged`` needs none: that the run's log says it is enough."""

    name: str
    logged: bool


@dataclass(frozen=True)
class Contract:
    """One data set: where it comes from, what its rows must be, who owns it and how fresh it is kept.

    ``cadence`` is ``hourly`` (partitioned by lake hour) or ``snapshot`` (the whole set each time). ``changing`` marks
    an hourly set whose rows are updated in place at the source, so that silver keeps every change and the newest.
    ``max_bad_share`` is how much of a load (an hour, a snapshot) of 20 rows and more may break a rule, from 0 to 1; of
    a load with more, and of one with nothing valid, silver takes nothing.
    ``zone`` is where raw, bronze and quarantine lie when the contract says it; see ``sensitive``.
    ``reconcile`` says whether all keys of a database table are compared once a day, so that deleted rows are found.
    """

    name: str
    version: str
    description: str
    domain: str
    owner: str
    source: Source
    cadence: Literal["hourly", "snapshot"]
    properties: tuple[Property, ...]
    tags: tuple[str, ...] = ()
    freshness_minutes: int | None = None
    retention_days: int | None = None
    max_bad_share: float = 0.2
    file: str = ""
    notify: tuple[str, ...] = field(default=())
    channels: tuple["Channel", ...] = ()
    zone: Zone | None = None
    reconcile: Literal["daily", "off"] = "daily"

    @property
    def personal(self) -> bool:
        """Whether a field is known to hold personal data, which silver masks."""
        return any(p.masking or p.classification in _SENSITIVE for p in self.properties)

    @property
    def sensitive(self) -> bool:
        """Whether raw, bronze and quarantine live in the sensitive zone: they hold personal data, or may.

        What arrives as text may hold anything: a field that the contract does not know, a line that is malformed. Such
        a data set is in the sensitive zone unless its contract says that it may be read by all.
        """
        return self.personal or (self.zone == "sensitive" if self.zone else not self.typed_source)

    @property
    def changing(self) -> bool:
        """Whether a row may be written again under the same key (database tables)."""
        return isinstance(self.source, DatabaseSource)

    @property
    def typed_source(self) -> bool:
        """Whether the source delivers typed columns rather than text."""
        return isinstance(self.source, DatabaseSource)

    @property
    def keys(self) -> tuple[Property, ...]:
        """The properties that identify a row, in key order."""
        return tuple(p for p in self.properties if p.key)

    @property
    def source_properties(self) -> tuple[Property, ...]:
        """The properties that the source delivers; the others are derived."""
        return tuple(p for p in self.properties if p.derivation is None)

    def property(self, name: str) -> Property:
        """The property of that name; KeyError when there is none."""
        for candidate in self.properties:
            if candidate.name == name:
                return candidate
        raise KeyError(f"contract {self.name} has no property {name!r}")


def load_contracts(*folders: Traversable) -> dict[str, Contract]:
    """Every ``*.odcs.yaml`` in ``folders``, those of the shop by default, by data set name.

    Raises ContractError for a folder that cannot be read or has no contract, a bad file, a name used twice, or a
    reference to an unknown data set or field.
    """
    contracts: dict[str, Contract] = {}
    for file in [file for folder in folders or (CONTRACTS_FOLDER,) for file in _files(folder)]:
        contract = load_contract(file)
        if contract.name in contracts:
            raise ContractError(
                f"{file.name}: name: {contract.name!r} is already the name of {contracts[contract.name].file}; "
                "give each contract a name of its own"
            )
        contracts[contract.name] = contract
    _check_references(contracts)
    return contracts


def _files(folder: Traversable) -> list[Traversable]:
    try:
        files = [file for file in folder.iterdir() if file.name.endswith(".odcs.yaml")]
    except OSError as error:
        raise ContractError(
            f"LAKE_CONTRACTS: {folder} cannot be read ({error.strerror}); name the folder that holds the contracts"
        ) from None
    if not files:
        raise ContractError(f"LAKE_CONTRACTS: {folder} holds no file named *.odcs.yaml; each data set needs one")
    return sorted(files, key=lambda file: file.name)


@cache
def contracts() -> dict[str, Contract]:
    """The contracts that ``LAKE_CONTRACTS`` names, by default the shop's; read once per process."""
    from dagster_lake.settings.project import ProjectSettings

    return load_contracts(*ProjectSettings().contracts)


def own_texts() -> dict[str, str]:
    """The contracts that ``LAKE_CONTRACTS`` names, as text by the name of the file; empty where they are the shop's.

    The wheel that steps run from on Databricks has the shop's; these travel to a step with its work.
    """
    from dagster_lake.settings.project import ProjectSettings

    files = [file for folder in ProjectSettings().contracts for file in _files(folder)]
    return {file.name: file.read_text(encoding="utf-8") for file in files}  # a name is used once


def load_contract(file: Traversable) -> Contract:
    """The contract in ``file``. Raises ContractError when it is not one that dagster_lake can use."""
    data, document = _parse(file)
    return _Reader(file.name, data, document).contract()


def _parse(file: Traversable) -> tuple[dict[str, Any], OpenDataContractStandard]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"{file.name}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ContractError(f"{file.name}: is empty or not a mapping; start from another contract")
    if nameless := [key for key in data if not isinstance(key, str)]:
        raise ContractError(f"{file.name}: {nameless[0]!r} is no field's name; remove it, or write it in quotes")
    try:
        return data, OpenDataContractStandard(**data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ContractError(
            f"{file.name}: {where}: {first['msg']}; see the Open Data Contract Standard 3.1 for this field"
        ) from None


def _check_references(contracts: dict[str, Contract]) -> None:
    for contract in contracts.values():
        for prop in contract.properties:
            if prop.references is None:
                continue
            data_set, target = prop.references
            if data_set not in contracts or target not in [p.name for p in contracts[data_set].properties]:
                raise ContractError(
                    f"{contract.file}: {prop.name}.relationships: {data_set}.{target} does not exist; "
                    f"name a property of one of: {', '.join(sorted(contracts))}"
                )
            referenced = contracts[data_set].property(target)
            if not _comparable(prop, referenced):
                raise ContractError(
                    f"{contract.file}: {prop.name}.relationships: {prop.name} is {_type_of(prop)} and "
                    f"{data_set}.{target} is {_type_of(referenced)}, which are never equal or do not fit one type; "
                    "give both the same logicalType and physicalType"
                )


def _comparable(one: Property, other: Property) -> bool:
    """Whether values of both can be compared exactly, whatever they are."""
    digits = [_exact_digits(prop) for prop in (one, other)]
    if digits[0] is None or digits[1] is None:
        return digits[0] == digits[1] and one.logical_type == other.logical_type
    (whole, scale), (other_whole, other_scale) = digits[0], digits[1]
    return max(whole, other_whole) + max(scale, other_scale) <= 38


def _exact_digits(prop: Property) -> tuple[int, int] | None:
    """The digits before and behind the point of an integer or exact decimal; None for any other property."""
    if prop.precision is not None:
        return prop.precision - (prop.scale or 0), prop.scale or 0
    return (19, 0) if prop.logical_type == "integer" else None


def _type_of(prop: Property) -> str:
    return prop.logical_type if prop.precision is None else f"decimal({prop.precision},{prop.scale})"


def _alike(names: list[str]) -> tuple[str, str] | None:
    """Two names that are one to an engine that compares names without case, as Spark does: kı and ki, ſum and sum."""
    seen: dict[str, str] = {}
    for name in names:
        if (first := seen.setdefault(name.upper().lower(), name)) != name:
            return first, name
    return None


def _host(url: str) -> str:
    return url.lower().partition("://")[2].partition("/")[0].partition(":")[0]


class _Reader:
    """Reads one parsed document, remembering the file name for the errors."""

    def __init__(self, file: str, data: dict[str, Any], document: OpenDataContractStandard) -> None:
        self.file = file
        self.data = data
        self.document = document

    def fail(self, where: str, problem: str, remedy: str) -> ContractError:
        return ContractError(f"{self.file}: {where}: {problem}; {remedy}")

    def contract(self) -> Contract:
        document = self.document
        if not (document.apiVersion or "").startswith("v3.1"):
            raise self.fail("apiVersion", f"is {document.apiVersion!r}", "write apiVersion: v3.1.0")
        if document.kind != "DataContract":
            raise self.fail("kind", f"is {document.kind!r}", "write kind: DataContract")
        for where, problem, remedy in problems(self.data, document):
            raise self.fail(where, problem, remedy)
        if not document.schema_ or len(document.schema_) != 1:
            raise self.fail("schema", "must hold exactly one object", "split the contract, one file per data set")
        schema = document.schema_[0]
        name = schema.name or ""
        if name != document.name or self.file != f"{name}.odcs.yaml":
            raise self.fail(
                "name",
                f"{document.name!r}, schema name {name!r} and the file's name differ",
                f"use one name everywhere: name: {name}, schema: - name: {name}, file {name}.odcs.yaml",
            )
        properties = tuple(self.property(p) for p in schema.properties or [])
        names = [p.name for p in properties]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise self.fail(f"schema.properties.{twice}", "is there twice", "give each property a name of its own")
        if alike := _alike(names):
            raise self.fail(
                f"schema.properties.{alike[1]}",
                f"is {alike[0]} in other letters of the same case, which the engines take for one column",
                "leave one of them out; what the source says in its field is kept in _rescued_data",
            )
        if not any(p.key for p in properties):
            raise self.fail("schema.properties", "no property is the key", "mark one or more with primaryKey: true")
        source = self.source()
        self.check_source(source, properties)
        self.check_derived(properties)
        description = document.description.purpose if document.description else None
        if not description:
            raise self.fail("description.purpose", "is missing", "say in a sentence what a row is")
        return Contract(
            name=name,
            version=document.version or "",
            description=description.strip(),
            domain=document.domain or "",
            owner=self.owner(),
            source=source,
            cadence="snapshot" if isinstance(source, FileSource) else "hourly",
            properties=self.in_key_order(properties, schema.properties or []),
            tags=tuple(document.tags or ()),
            freshness_minutes=self.sla_minutes("latency"),
            retention_days=self.sla_days("retention"),
            max_bad_share=self.max_bad_share(),
            notify=tuple(s.url or s.channel or "" for s in document.support or []),
            channels=self.channels(),
            file=self.file,
            zone=self.zone(properties),
            reconcile=self.reconcile(source),
        )

    def channels(self) -> tuple[Channel, ...]:
        found = []
        for number, support in enumerate(self.document.support or []):
            if HOSTS_OF_SERVICES.fullmatch(_host(support.url or "")):
                raise self.fail(
                    f"support[{number}].url",
                    "is the address of a channel, by which anybody may post there",
                    "put it into LAKE_ALERT_CHANNELS, make a new one, for this was read, and name the channel here",
                )
            if support.channel is None:
                continue
            if not CHANNEL_NAME.fullmatch(support.channel):
                raise self.fail(
                    f"support[{number}].channel",
                    "is no name of a channel",
                    "write letters, digits and # _ . - only: its address belongs into LAKE_ALERT_CHANNELS",
                )
            found.append(Channel(support.channel, logged=support.tool == "log"))
        return tuple(found)

    def reconcile(self, source: Source) -> Literal["daily", "off"]:
        for custom in self.document.customProperties or []:
            if custom.property != "reconcile":
                continue
            if not isinstance(source, DatabaseSource):
                raise self.fail("customProperties.reconcile", f"does not apply to {source.kind}", "remove it")
            if custom.value is False:  # what YAML reads where "off" has no quotes
                return "off"
            if custom.value not in ("daily", "off"):
                raise self.fail("customProperties.reconcile", f"is {custom.value!r}", "use daily or off")
            return custom.value
        return "daily"

    def in_key_order(self, properties: tuple[Property, ...], raw: list[SchemaProperty]) -> tuple[Property, ...]:
        positions = [p.primaryKeyPosition or 1 for p in raw if p.primaryKey]
        if positions != sorted(positions):
            raise self.fail("primaryKeyPosition", "key properties are not listed in key order", "reorder them")
        return properties

    def owner(self) -> str:
        team = self.document.team
        members = team.members if isinstance(team, Team) else team
        for member in members or []:
            if member.role == "owner" and member.username:
                return member.username
        raise self.fail("team", "no member has role: owner", "add team.members: - username: team:shop, role: owner")

    def zone(self, properties: tuple[Property, ...]) -> Zone | None:
        where = "customProperties.zone"
        for custom in self.document.customProperties or []:
            if custom.property != "zone":
                continue
            if custom.value not in ("sensitive", "open"):
                raise self.fail(where, f"{custom.value!r} is unknown", "use sensitive or open")
            if custom.value == "open" and (masked := [p.name for p in properties if p.masking]):
                raise self.fail(
                    where,
                    f"is open, but {masked[0]} holds personal data, in clear until silver masks it",
                    "remove the zone, or the masking and classification of every field",
                )
            return custom.value
        return None

    def source(self) -> Source:
        for custom in self.document.customProperties or []:
            if custom.property == "source":
                return self.source_of(custom.value)
        raise self.fail(
            "customProperties",
            "no property: source",
            "add - property: source, value: {kind: files, format: json_lines}",
        )

    def max_bad_share(self) -> float:
        """The property of that name, a fifth without one."""
        for custom in self.document.customProperties or []:
            if custom.property == "max_bad_share":
                value: Any = custom.value
                if isinstance(value, bool) or not _is_finite(value) or not 0 <= value <= 1:
                    raise self.fail(
                        "customProperties.max_bad_share",
                        f"is {value!r}",
                        "give the share of a load's rows that may be bad, from 0 to 1, such as 0.2 for a fifth",
                    )
                return float(value)
        return 0.2

    def source_of(self, value: Any) -> Source:
        kinds: dict[str, type[FileSource] | type[EventHubSource] | type[DatabaseSource]] = {
            "files": FileSource,
            "event_hub": EventHubSource,
            "database": DatabaseSource,
        }
        where = "customProperties.source"
        if not isinstance(value, dict) or str(value.get("kind")) not in kinds:
            raise self.fail(where, f"{value!r} has no known kind", f"use kind: {', '.join(kinds)}")
        arguments = {k: v for k, v in value.items() if k != "kind"}
        fallback: tuple[Any, ...] = ()
        if isinstance(times := arguments.get("updated_at"), list) and times:
            arguments["updated_at"], *rest = times
            fallback = tuple(rest)
        try:
            if "fallback" in arguments:
                raise TypeError
            source = kinds[value["kind"]](**arguments)
        except TypeError:
            fields = [f for f in dataclasses.fields(kinds[value["kind"]]) if f.name not in ("kind", "fallback")]
            wanted = ", ".join(f.name for f in fields if f.default is dataclasses.MISSING)
            others = "".join(f"; {f.name} may be added" for f in fields if f.default is not dataclasses.MISSING)
            raise self.fail(
                where, f"{sorted(arguments)} does not fit kind: {value['kind']}", f"give {wanted}{others}"
            ) from None
        for field_name, given in arguments.items():
            if not isinstance(given, str) or not given:
                raise self.fail(f"{where}.{field_name}", f"is {given!r}", "give a name")
        if isinstance(source, DatabaseSource):
            source = dataclasses.replace(source, fallback=fallback)
        if isinstance(source, FileSource) and source.format not in ("json_lines", "json_document"):
            raise self.fail(f"{where}.format", f"{source.format!r} is unknown", "use json_lines or json_document")
        if isinstance(source, FileSource):
            self.check_files(where, source)
        if isinstance(source, EventHubSource) and source.capture and not _CAPTURE_FOLDER.match(source.capture):
            raise self.fail(
                f"{where}.capture",
                f"{source.capture!r} is no folder",
                "name one below landing/, or give abfss://<container>@<account>.dfs.core.windows.net/<folder>",
            )
        return source

    def check_files(self, where: str, source: FileSource) -> None:
        if source.files not in ("all_files", "latest_file"):
            raise self.fail(f"{where}.files", f"{source.files!r} is unknown", "use all_files or latest_file")
        if source.files == "latest_file" and source.format == "json_document":
            raise self.fail(f"{where}.files", "latest_file would leave one document, which is one row", "use all_files")
        marker = source.marker
        if marker is not None and ("/" in marker or marker.lower().endswith((".jsonl", ".ndjson", ".json"))):
            raise self.fail(
                f"{where}.marker",
                f"{marker!r} is a file of data or in a folder",
                "name a file of its own in the landing folder itself, such as _SUCCESS",
            )

    def check_source(self, source: Source, properties: tuple[Property, ...]) -> None:
        if isinstance(source, DatabaseSource):
            for name in (source.updated_at, *source.fallback):
                column = next((p for p in properties if p.name == name), None)
                if column is None or column.logical_type != "timestamp":
                    raise self.fail(
                        "customProperties.source.updated_at",
                        f"{name!r} is not a timestamp property of this contract",
                        "name the column that holds when a row was last written, or a list of columns, of which the "
                        "first that is not null counts",
                    )
            if source.time_zone not in zoneinfo.available_timezones():
                raise self.fail(
                    "customProperties.source.time_zone",
                    f"{source.time_zone!r} is no time zone",
                    "name one as Europe/Prague, the zone of the times that the database holds without one",
                )

    def check_derived(self, properties: tuple[Property, ...]) -> None:
        names = {p.name for p in properties if p.derivation is None}
        for prop in properties:
            if prop.derivation and prop.derived_from not in names:
                raise self.fail(
                    f"{prop.name}.transformSourceObjects",
                    f"{prop.derived_from!r} is not a property the source delivers",
                    "name the property it is derived from",
                )

    def property(self, raw: SchemaProperty) -> Property:
        name = raw.name or ""
        if not name.isidentifier() or name != name.lower() or name.startswith("_"):
            raise self.fail(f"schema.properties.{name or '?'}", "is not a usable name", "use lower_snake_case")
        if raw.logicalType not in _TYPES:
            raise self.fail(f"{name}.logicalType", f"{raw.logicalType!r} is unknown", f"use one of {', '.join(_TYPES)}")
        rules = self.rules(name, raw)
        precision, scale = self.decimal(name, raw)
        derivation = raw.transformLogic
        if derivation is not None and derivation not in DERIVATIONS:
            raise self.fail(
                f"{name}.transformLogic", f"{derivation!r} is unknown", f"use one of {', '.join(DERIVATIONS)}"
            )
        prop = Property(
            name=name,
            logical_type=raw.logicalType,  # type: ignore[arg-type]
            description=(raw.description or "").strip(),
            required=bool(raw.required or raw.primaryKey),
            key=bool(raw.primaryKey),
            precision=precision,
            scale=scale,
            minimum=rules.get("minimum"),
            maximum=rules.get("maximum"),
            min_length=rules.get("minLength"),
            max_length=rules.get("maxLength"),
            pattern=rules.get("pattern"),
            allowed=self.allowed(name, raw),
            masking=self.masking(name, raw),
            derivation=derivation,
            derived_from=raw.transformSourceObjects[0] if raw.transformSourceObjects else None,
            references=self.references(name, raw),
            classification=classification_of(raw.classification) or "public",
        )
        if not prop.description:
            raise self.fail(f"{name}.description", "is missing", "say what the field means and its unit")
        if prop.logical_type == "array" and (raw.items is None or raw.items.logicalType != "string"):
            raise self.fail(f"{name}.items", "only arrays of strings are supported", "add items: {logicalType: string}")
        if prop.classification in _SENSITIVE and not prop.masking:
            raise self.fail(
                f"{name}.classification",
                f"is {prop.classification} but nothing masks the field",
                "add customProperties: - property: masking, value: hmac, redact or partial",
            )
        return prop

    def rules(self, name: str, raw: SchemaProperty) -> dict[str, Any]:
        """The options, each of a kind that fits the type, so that no rule can fail while it is applied to a row."""
        rules = {option: value for option, value in (raw.logicalTypeOptions or {}).items() if value is not None}
        for option, value in rules.items():
            where, known = f"{name}.logicalTypeOptions", _RULES.get(option)
            if known is None:
                raise self.fail(where, f"{[option]} is not supported", f"use {', '.join(_RULES)}")
            types, wanted, fits = known
            if raw.logicalType not in types:
                raise self.fail(f"{where}.{option}", f"does not apply to {raw.logicalType}", f"use it on {types[0]}")
            if isinstance(value, bool) or not fits(value):
                raise self.fail(f"{where}.{option}", f"is {value!r}", f"give {wanted}")
            if option == "pattern":
                try:
                    common_pattern(value)
                except PatternError as error:
                    problem = f"{value!r} is no regular expression that every engine reads the same"
                    raise self.fail(f"{where}.{option}", problem, str(error)) from None
        return rules

    def decimal(self, name: str, raw: SchemaProperty) -> tuple[int | None, int | None]:
        physical = (raw.physicalType or "").replace(" ", "").lower()
        if not physical.startswith("decimal"):
            return None, None
        try:
            precision, scale = (int(n) for n in physical.removeprefix("decimal(").removesuffix(")").split(","))
        except ValueError:
            precision, scale = 0, 0
        if not 0 <= scale <= precision <= 38 or precision == 0:
            raise self.fail(f"{name}.physicalType", f"{raw.physicalType!r}", "write decimal(12,2), at most 38 digits")
        return precision, scale

    def allowed(self, name: str, raw: SchemaProperty) -> tuple[str, ...]:
        for rule in raw.quality or []:
            values = (rule.arguments or {}).get("validValues")
            if rule.metric != "invalidValues" or not values or rule.mustBe != 0:
                raise self.fail(
                    f"{name}.quality",
                    f"metric {rule.metric!r} is not supported on a property",
                    "use metric: invalidValues with arguments.validValues and mustBe: 0, or logicalTypeOptions",
                )
            if raw.logicalType != "string":
                raise self.fail(f"{name}.quality", "validValues apply to strings only", "use minimum and maximum")
            return tuple(str(v) for v in values)
        return ()

    def masking(self, name: str, raw: SchemaProperty) -> Masking | None:
        for custom in raw.customProperties or []:
            if custom.property != "masking":
                raise self.fail(f"{name}.customProperties", f"{custom.property!r} is unknown", "use masking")
            masking = str(custom.value).lower()
            if masking not in _MASKINGS:
                raise self.fail(f"{name}.masking", f"{custom.value!r}", f"use one of {', '.join(_MASKINGS)}")
            if raw.logicalType != "string" or raw.primaryKey:
                raise self.fail(f"{name}.masking", "only a string that is not the key can be masked", "remove it")
            return cast(Masking, masking)
        return None

    def references(self, name: str, raw: SchemaProperty) -> tuple[str, str] | None:
        for relationship in raw.relationships or []:
            target = relationship.to if isinstance(relationship.to, str) else ""
            data_set, _, column = target.partition(".")
            if not column:
                raise self.fail(f"{name}.relationships", f"to: {relationship.to!r}", "write to: users.id")
            return data_set, column
        return None

    def sla(self, name: str) -> ServiceLevelAgreementProperty | None:
        return next((s for s in self.document.slaProperties or [] if s.property == name), None)

    def sla_minutes(self, name: str) -> int | None:
        return self.sla_in(name, {"m": 1, "min": 1, "h": 60, "d": 24 * 60})

    def sla_days(self, name: str) -> int | None:
        return self.sla_in(name, {"d": 1, "m": 30, "y": 365})

    def sla_in(self, name: str, factors: dict[str, int]) -> int | None:
        sla = self.sla(name)
        if sla is None:
            return None
        if sla.unit not in factors or not isinstance(sla.value, int) or sla.value <= 0:
            raise self.fail(
                f"slaProperties.{name}",
                f"value {sla.value!r} unit {sla.unit!r}",
                f"give a whole number above 0 and a unit of {', '.join(factors)}",
            )
        return sla.value * factors[sla.unit]
