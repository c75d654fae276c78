"""A contract that cannot be used says which file, which field, and what to do; nothing else ever comes out."""

import copy
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.contract import model as module
from dagster_lake.contract.model import (
    CONTRACTS_FOLDER,
    Contract,
    ContractError,
    contracts,
    load_contract,
    load_contracts,
)
from dagster_lake.contract.words import CUSTOM_PROPERTIES
from tests.depth import examples
from tests.unit.compiled import run

FILES = sorted(CONTRACTS_FOLDER.glob("*.odcs.yaml"))
USERS = yaml.safe_load((CONTRACTS_FOLDER / "users.odcs.yaml").read_text(encoding="utf-8"))
Document = dict[str, Any]


def field(document: Document, name: str) -> Document:
    return next(p for p in document["schema"][0]["properties"] if p["name"] == name)


def set_(**values: Any) -> Callable[[Document], None]:
    return lambda document: document.update(values)


def on(of: str, /, **values: Any) -> Callable[[Document], None]:
    return lambda document: field(document, of).update(values)


def source(value: Any) -> Callable[[Document], None]:
    return set_(customProperties=[{"property": "source", "value": value}])


def reconcile(value: Any, of: Any = None) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        field(document, "city")["logicalType"] = "timestamp" if of else "string"
        properties = [{"property": "reconcile", "value": value}]
        document["customProperties"] = [{"property": "source", "value": of}] if of else document["customProperties"]
        document["customProperties"] = [*document["customProperties"], *properties]

    return change


def option(name: str, **options: Any) -> Callable[[Document], None]:
    return on(name, logicalTypeOptions=options)


def twice(document: Document) -> None:
    document["schema"][0]["properties"].append(copy.deepcopy(field(document, "city")))


def second_key_first(document: Document) -> None:
    field(document, "id")["primaryKeyPosition"] = 2
    field(document, "city").update(primaryKey=True, primaryKeyPosition=1)


def no_key(document: Document) -> None:
    field(document, "id")["primaryKey"] = False


quality = [{"type": "library", "metric": "nullValues", "mustBe": 0}]
values = [{"type": "library", "metric": "invalidValues", "arguments": {"validValues": [1]}, "mustBe": 0}]
masking = {"property": "masking", "value": "hmac"}


def zone(value: str) -> Callable[[Document], None]:
    return custom("zone", value)


def custom(name: str, value: Any) -> Callable[[Document], None]:
    return lambda document: document["customProperties"].append({"property": name, "value": value})


def schema_(**values: Any) -> Callable[[Document], None]:
    return lambda document: document["schema"][0].update(values)


def sla(name: str) -> Callable[[Document], None]:
    return set_(slaProperties=[{"property": name, "value": 1, "unit": "d"}])


def both(one: Callable[[Document], None], other: Callable[[Document], None]) -> Callable[[Document], None]:
    return lambda document: (one(document), other(document))[-1]


def max_bad_share(value: object) -> Callable[[Document], None]:
    return lambda document: document["customProperties"].append({"property": "max_bad_share", "value": value})


ERRORS: list[tuple[str, Callable[[Document], None], str, str]] = [
    (
        "the address of a channel",
        set_(support=[{"channel": "night", "url": "https://hooks.slack.com/services/T1/B2/c3"}]),
        "support[0].url",
        "put it into LAKE_ALERT_CHANNELS",
    ),
    (
        "a channel that is an address",
        set_(support=[{"channel": "https://hooks.example/x"}]),
        "support[0].channel",
        "its address belongs into LAKE_ALERT_CHANNELS",
    ),
    ("a share in percent", max_bad_share(20), "customProperties.max_bad_share", "from 0 to 1, such as 0.2 for a fifth"),
    ("a share in words", max_bad_share("a fifth"), "customProperties.max_bad_share", "from 0 to 1"),
    ("an older standard", set_(apiVersion="v2.2.2"), "apiVersion", "v3.1.0"),
    ("another kind", set_(kind="Other"), "kind", "DataContract"),
    ("no schema", set_(schema=[]), "schema", "one file per data set"),
    ("two names", set_(name="people"), "name", "use one name everywhere"),
    ("no key", no_key, "schema.properties", "primaryKey: true"),
    ("a field twice", twice, "schema.properties.city", "name of its own"),
    ("no description", set_(description=None), "description.purpose", "say in a sentence"),
    ("keys out of order", second_key_first, "primaryKeyPosition", "reorder"),
    ("no owner", set_(team={"members": []}), "team", "role: owner"),
    ("no source", set_(customProperties=[]), "customProperties", "add - property: source"),
    ("an unknown source", source({"kind": "ftp"}), "customProperties.source", "use kind: files, event_hub, database"),
    ("an odd source", source({"kind": ["files"]}), "customProperties.source", "use kind: files"),
    ("a source without its table", source({"kind": "database"}), "customProperties.source", "give table, updated_at"),
    ("a hub that is no name", source({"kind": "event_hub", "hub": 7}), "customProperties.source.hub", "give a name"),
    ("a hub without its name", source({"kind": "event_hub"}), "customProperties.source", "give hub; capture may be"),
    (
        "a capture folder outside the landing zone",
        source({"kind": "event_hub", "hub": "h", "capture": "../raw"}),
        "customProperties.source.capture",
        "name one below landing/, or give abfss://",
    ),
    (
        "an unknown choice of files",
        source({"kind": "files", "format": "json_lines", "files": "newest"}),
        "source.files",
        "use all_files or latest_file",
    ),
    (
        "one document of all",
        source({"kind": "files", "format": "json_document", "files": "latest_file"}),
        "source.files",
        "use all_files",
    ),
    (
        "a marker that is data",
        source({"kind": "files", "format": "json_lines", "marker": "done.json"}),
        "source.marker",
        "such as _SUCCESS",
    ),
    ("an unknown format", source({"kind": "files", "format": "csv"}), "source.format", "json_lines or json_document"),
    (
        "a time of writing that is no time",
        source({"kind": "database", "table": "t", "updated_at": "city"}),
        "customProperties.source.updated_at",
        "name the column that holds when a row was last written",
    ),
    ("reconciling files", reconcile("daily"), "customProperties.reconcile", "does not apply to files; remove it"),
    (
        "reconciling at an unknown time",
        reconcile("weekly", {"kind": "database", "table": "t", "updated_at": "city"}),
        "customProperties.reconcile",
        "use daily or off",
    ),
    ("derived from nothing", on("sex", transformSourceObjects=["age"]), "sex.transformSourceObjects", "derived from"),
    ("an unknown derivation", on("sex", transformLogic="upper(x)"), "sex.transformLogic", "sex_of_birth_number"),
    ("a name with a space", on("city", name="Home City"), "Home City", "lower_snake_case"),
    ("a name that is the lake's", on("city", name="_lake_hour"), "_lake_hour", "lower_snake_case"),
    (
        "a name that Spark takes for the key's",
        on("city", name="\u0131d"),
        "schema.properties.\u0131d",
        "leave one of them",
    ),
    ("a pattern of Java", option("city", pattern="(?=a)"), "city.logicalTypeOptions.pattern", "as RE2 reads it"),
    ("an unknown type", on("city", logicalType="object"), "city.logicalType", "use one of string, integer"),
    ("an unknown option", option("city", format="uuid"), "city.logicalTypeOptions", "minLength"),
    ("a minimum of text", option("city", minimum=3), "city.logicalTypeOptions.minimum", "use it on number"),
    ("a minimum that is no number", option("id", minimum="1; --"), "id.logicalTypeOptions.minimum", "give a number"),
    ("a maximum that is no number", option("id", maximum=float("nan")), "id.logicalTypeOptions.maximum", "a number"),
    ("a negative length", option("city", maxLength=-1), "city.logicalTypeOptions.maxLength", "0 or more"),
    ("a length that is no number", option("city", minLength="1"), "city.logicalTypeOptions.minLength", "whole number"),
    ("a broken pattern", option("city", pattern="["), "city.logicalTypeOptions.pattern", "regular expression"),
    ("a pattern that looks around", option("city", pattern="(?=a)"), "city.logicalTypeOptions.pattern", "look-around"),
    ("no description of a field", on("city", description=" "), "city.description", "say what the field means"),
    ("an array of numbers", on("jobs", items={"logicalType": "integer"}), "jobs.items", "logicalType: string"),
    (
        "an unknown word of privacy",
        on("city", classification="secret"),
        "city.classification",
        "internal, confidential",
    ),
    ("PII by another name", on("city", classification="PII"), "city.classification", "property: masking"),
    ("PII in capitals", on("city", classification="RESTRICTED"), "city.classification", "property: masking"),
    ("a misspelt source", custom("souce", {}), "customProperties.souce", "use source, zone"),
    ("masking of everything", custom("masking", "hmac"), "customProperties.masking", "use source, zone"),
    ("a zone twice", both(zone("sensitive"), zone("sensitive")), "customProperties.zone", "leave one"),
    ("a misspelt field", on("city", clasification="confidential"), "city.clasification", "classification"),
    ("a misspelt field above", set_(slaPropertys=[]), "slaPropertys", "this field"),
    ("an unknown service level", sla("frequency"), "slaProperties.frequency", "use latency, retention"),
    ("a rule of the schema", schema_(quality=values), "schema.quality", "on a property"),
    ("a uniqueness", on("city", unique=True), "city.unique", "primaryKey"),
    ("an enum", on("city", enum=[{"value": "Brno"}]), "city.enum", "invalidValues"),
    ("another physical name", on("city", physicalName="town"), "city.physicalName", "as the source names"),
    ("two rules", on("city", quality=values * 2), "city.quality", "leave one"),
    ("a source without a derivation", on("city", transformSourceObjects=["id"]), "city.transform", "remove both"),
    (
        "a rule of items",
        on("jobs", items={"logicalType": "string", "required": True}),
        "jobs.items.required",
        "any text",
    ),
    ("an unknown zone", zone("private"), "customProperties.zone", "use sensitive or open"),
    ("an open zone for personal data", zone("open"), "customProperties.zone", "remove the zone"),
    ("PII in clear", on("city", classification="restricted"), "city.classification", "property: masking"),
    ("an impossible decimal", on("id", physicalType="decimal(2,3)"), "id.physicalType", "decimal(12,2)"),
    ("a decimal in words", on("id", physicalType="decimal(ten)"), "id.physicalType", "decimal(12,2)"),
    ("an unknown rule", on("city", quality=quality), "city.quality", "invalidValues"),
    ("allowed numbers", on("id", quality=values), "id.quality", "minimum and maximum"),
    ("an unknown property", on("city", customProperties=[{"property": "x", "value": 1}]), "city.custom", "use masking"),
    ("an unknown masking", on("city", customProperties=[{**masking, "value": "md5"}]), "city.masking", "hmac, redact"),
    ("a masked key", on("id", customProperties=[masking]), "id.masking", "remove it"),
    ("a reference to no field", on("id", relationships=[{"to": "users"}]), "id.relationships", "users.id"),
    (
        "an unknown unit",
        set_(slaProperties=[{"property": "latency", "value": 2, "unit": "w"}]),
        "latency",
        "m, min, h, d",
    ),
    ("freshness of 0", set_(slaProperties=[{"property": "latency", "value": 0, "unit": "h"}]), "latency", "above 0"),
    ("a field of a wrong kind", set_(tags=7), "tags", "see the Open Data Contract Standard"),
]


def saved(folder: Path, document: Any, name: str = "users") -> Path:
    file = folder / f"{name}.odcs.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return file


@pytest.mark.parametrize(("change", "where", "remedy"), [pytest.param(*e[1:], id=e[0]) for e in ERRORS])
def test_an_error_names_the_file_the_field_and_the_remedy(
    tmp_path: Path, change: Callable[[Document], None], where: str, remedy: str
) -> None:
    document = copy.deepcopy(USERS)
    change(document)
    with pytest.raises(ContractError) as error:
        load_contract(saved(tmp_path, document))
    said = str(error.value)
    assert said.startswith("users.odcs.yaml: ")
    field_said, _, rest = said.removeprefix("users.odcs.yaml: ").partition(": ")
    assert where in field_said
    assert remedy in rest


@pytest.mark.parametrize("text", ["", "- a", "7", "a: [", "\x00", "a: &x [*y]"])
def test_a_file_that_is_no_mapping_of_yaml_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ContractError, match=r"^users\.odcs\.yaml: (not valid YAML|is empty or not a mapping)"):
        load_contract(saved(tmp_path, text))


@pytest.mark.parametrize("line", ["yes: 1", "1: 1", "null: 1", "2026-01-01: 1"])
def test_a_field_whose_name_yaml_does_not_read_as_text_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ContractError, match=r"^users\.odcs\.yaml: .* is no field's name"):
        load_contract(saved(tmp_path, f"apiVersion: v3.1.0\n{line}\n"))


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "users.odcs.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ContractError, match=r"^users\.odcs\.yaml: not valid YAML"):
        load_contract(tmp_path / "users.odcs.yaml")


def test_a_reference_to_a_data_set_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    document = copy.deepcopy(USERS)
    field(document, "id")["relationships"] = [{"to": "people.id"}]
    saved(tmp_path, document)
    with pytest.raises(
        ContractError, match=r"users\.odcs\.yaml: id\.relationships: people\.id does not exist; .*users"
    ):
        load_contracts(tmp_path)


@pytest.mark.parametrize(
    "other", [{"logicalType": "string"}, {"logicalType": "number", "physicalType": "decimal(38,20)"}]
)
def test_a_reference_between_types_that_are_not_compared_exactly_is_refused(
    tmp_path: Path, other: dict[str, str]
) -> None:
    document = copy.deepcopy(USERS)
    field(document, "city").update(other, logicalTypeOptions=None, customProperties=None)
    field(document, "id")["relationships"] = [{"to": "users.city"}]
    saved(tmp_path, document)
    with pytest.raises(
        ContractError, match=r"id\.relationships: id is integer and users\.city is .*; give both the same"
    ):
        load_contracts(tmp_path)


@pytest.mark.parametrize("word", ["Confidential", "RESTRICTED", "PII", "sensitive", " personal "])
def test_a_classification_in_any_case_makes_the_field_personal_data(tmp_path: Path, word: str) -> None:
    document = copy.deepcopy(USERS)
    field(document, "city").update(classification=word, customProperties=[{**masking, "value": "HMAC"}])
    city = load_contract(saved(tmp_path, document)).property("city")
    assert city.classification in ("confidential", "restricted")
    assert city.masking == "hmac"


def test_what_arrives_as_text_is_in_the_sensitive_zone_unless_its_contract_says_open() -> None:
    assert {name: contract.sensitive for name, contract in contracts().items()} == {
        **dict.fromkeys(("users", "vip_users", "products", "pageviews", "stars"), True),
        **dict.fromkeys(("orders", "order_items"), False),
    }


@pytest.mark.parametrize(("name", "said"), [("vip_users", "open"), ("orders", "sensitive")])
def test_a_contract_says_its_zone(tmp_path: Path, name: str, said: str) -> None:
    document = yaml.safe_load((CONTRACTS_FOLDER / f"{name}.odcs.yaml").read_text(encoding="utf-8"))
    document["customProperties"].append({"property": "zone", "value": said})
    file = tmp_path / f"{name}.odcs.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert load_contract(file).sensitive == (said == "sensitive")


def test_each_error_in_the_code_is_provoked_here() -> None:
    source_text = inspect.getsource(module._Reader)
    raised = len(re.findall(r"raise self\.fail\(", source_text))
    assert raised <= len(ERRORS), f"{raised} places raise, {len(ERRORS)} errors are tested: add the new one to ERRORS"


def test_every_custom_property_that_is_read_is_known_and_the_other_way_round() -> None:
    read = set(re.findall(r'property [!=]= "(\w+)"', inspect.getsource(module._Reader))) - {"masking"}
    assert read == set(CUSTOM_PROPERTIES)


def test_the_project_s_own_contracts_load_and_refer_to_each_other() -> None:
    assert set(contracts()) == {f.name.removesuffix(".odcs.yaml") for f in FILES}
    assert contracts()["users"].personal
    assert not contracts()["products"].personal


def _paths(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from _paths(value, (*path, key))


JUNK: list[Any] = [
    *(None, True, 0, -1, 1.5, float("nan"), 10**30, "", "x", "[", "users.id", "decimal(1,2)", "integer", "array"),
    *([], {}, [None], ["a"], [{}], {"a": 1}, [{"to": 1}], {"kind": {}}),
    *({"minimum": "x"}, {"pattern": "["}, {"maxLength": 1.5}, {"minLength": 1}, {"maximum": float("nan")}),
]
junk = st.sampled_from(JUNK)
QUIET = settings(
    max_examples=examples(60, 150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUIET
@given(st.data())
def test_a_damaged_contract_is_refused_or_compiles_and_runs(tmp_path: Path, data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(FILES))
    document = yaml.safe_load(original.read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(_paths(document))))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if data.draw(st.booleans()):
            parent[path[-1]] = data.draw(junk)
        else:
            del parent[path[-1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = _loaded(saved(tmp_path, document, original.name.removesuffix(".odcs.yaml")))
        assert loaded is None or run(loaded, []).silver == []


@QUIET
@given(st.data())
def test_damaged_text_is_refused_or_loads(tmp_path: Path, data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(FILES))
    text = original.read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=4))
    damaged = text[:at] + put + text[at + data.draw(st.integers(0, 5)) :]
    _loaded(saved(tmp_path, damaged, original.name.removesuffix(".odcs.yaml")))


def _loaded(file: Path) -> Contract | None:
    """The contract, or None when it was refused with its file named; any other error comes out."""
    try:
        return load_contract(file)
    except ContractError as error:
        said = str(error)
    assert said.startswith(file.name)
    return None
