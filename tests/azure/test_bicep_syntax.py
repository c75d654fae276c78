"""The small reader of Bicep that the other tests stand on: what it reads, and how it refuses the rest."""

from pathlib import Path
from typing import Any

import pytest

from tests.azure.bicep_deployment import Deployment, Runtime
from tests.azure.bicep_syntax import BicepError, read

PARAMETERS = "using 'main.bicep'\nparam word = 'lake'\nparam many = [1, 2]\n"
START = "targetScope = 'subscription'\nparam word string\nparam many array\nparam more int = 3\n"


def deployment(folder: Path, main: str, **files: str) -> Deployment:
    (folder / "main.bicep").write_text(START + main)
    (folder / "its.bicepparam").write_text(PARAMETERS)
    for name, text in files.items():
        (folder / f"{name}.bicep").write_text(text)
    return Deployment(folder, "its.bicepparam")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'${word}-${more}'", "lake-3"),
        ("'it''s'", None),
        (r"'it\'s \${word}'", "it's ${word}"),
        ("word == 'lake' && more > 2 || false", True),
        ("more >= 4 ? 'a' : more != 3 ? 'b' : 'c'", "c"),
        ("!empty(word)", True),
        ("[for (one, index) in many: one + index]", [1, 3]),
        ("concat(many, [\n  3 // three\n])", [1, 2, 3]),
        ("{\n  a: 1, 'b-c': { d: true }\n}", {"a": 1, "b-c": {"d": True}}),
        ("union({ a: 1 }, { a: 2, b: null })", {"a": 2, "b": None}),
        ("json('{\"x\": [1.5]}').x[0]", 1.5),
        ("replace(take('abcdef', 3), 'b', '-')", "a-c"),
        ("string(true)", "True"),
        ('json(\'{"a": 0, "b": null}\').?a ?? 7', 0),
        ('any(json(\'{"a": 0, "b": null}\')).?b ?? 7', 7),
        ("json('{}').?a ?? null ?? word", "lake"),
        ("json('{}').?a.?b ?? more > 2", True),
        ("environment().suffixes.storage", "core.windows.net"),
    ],
)
def test_an_expression_is_worked_out_as_in_azure(tmp_path: Path, expression: str, value: Any) -> None:
    output = f"output found {'string'} = {expression}\n"
    if value is None:
        with pytest.raises(BicepError, match=r"main\.bicep:5"):
            deployment(tmp_path, output)
    else:
        assert deployment(tmp_path, output).outputs == {"found": value}


def test_resources_are_found_with_their_ids_in_modules_loops_and_conditions(tmp_path: Path) -> None:
    main = """
resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${word}'
  location: 'here'
}
module each 'one.bicep' = [for one in many: if (one > 1) {
  name: 'each-${one}'
  scope: resourceGroup('rg-${word}')
  params: {
    name: 'x${one}'
  }
  dependsOn: [
    group
  ]
}]
"""
    one = """
param name string
resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  properties: {}
}
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    of: account.properties.primaryEndpoints.blob
  }
}
resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  scope: account
  name: 'held'
  properties: {}
}
"""
    found = deployment(tmp_path, main, one=one)
    group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-lake"
    account = f"{group}/providers/Microsoft.Storage/storageAccounts/x2"
    assert [(resource.id, resource.scope, resource.module) for resource in found.resources] == [
        (group, "", "main"),
        (account, "", "each-2"),
        (f"{account}/blobServices/default", "", "each-2"),
        (f"{account}/providers/Microsoft.Authorization/locks/held", account, "each-2"),
    ]
    of = found.resources[2].properties["of"]
    assert of == f"{account}.properties.primaryEndpoints.blob"
    assert isinstance(of, Runtime)
    assert found.modules["each-2"].after == {group}


@pytest.mark.parametrize(
    ("main", "told"),
    [
        ("var a = b\nvar b = a\n", r"main\.bicep:\d: a refers to itself"),
        ("output x string = nothing\n", r"main\.bicep:5: nothing is not defined"),
        ("output x string = utcNow()\n", r"main\.bicep:5: the function utcNow is not known here"),
        ("output x string = environment().nothing\n", r"main\.bicep:5: there is no 'nothing'"),
        ("output x object = { a: 1, a: 2 }\n", r"main\.bicep:5: a is there twice"),
        ("var a = 'open\n", r"main\.bicep:5: a string is not closed"),
        ("var a = [1\n", r"main\.bicep:6: "),
        ("import { a } from 'b'\n", r"main\.bicep:5: the statement 'import' is not read"),
        ("param other string\n", r"main\.bicep:5: the parameter other is not given"),
        ("@minLength(5)\nparam wide string = word\n", r"wide is 'lake', against its minLength"),
        ("@allowed(['sea'])\nparam kind string = word\n", r"kind is 'lake', which is none of \['sea'\]"),
        ("param wide int = word\n", r"wide is 'lake', which is no int"),
        ("module m 'gone.bicep' = {\n  name: 'm'\n}\n", r"there is no file gone\.bicep"),
        ("resource r 'A.B/c@2024-01-01' = {\n  location: 'x'\n}\n", r"main\.bicep:5: it has no name"),
        ("resource r 'A.B/c@2024-01-01' = {\n  name: 'x'\n  propertys: {}\n}\n", r"there is no property propertys"),
        (
            "resource r 'A.B/c@2024-01-01' = {\n  name: 'x'\n}\n"
            "resource s 'A.B/c@2024-01-01' = {\n  name: r.properties.y\n}\n",
            r"the name of s is not known before the deployment",
        ),
    ],
)
def test_what_cannot_be_read_or_worked_out_is_told_by_file_and_line(tmp_path: Path, main: str, told: str) -> None:
    with pytest.raises(BicepError, match=told):
        deployment(tmp_path, main)


def test_a_parameter_that_a_template_does_not_have_is_told(tmp_path: Path) -> None:
    deployment(tmp_path, "")
    (tmp_path / "its.bicepparam").write_text(f"{PARAMETERS}param none = 1\n")
    with pytest.raises(BicepError, match=r"main\.bicep: there is no parameter none"):
        Deployment(tmp_path, "its.bicepparam")


def test_statements_carry_their_lines_and_decorators() -> None:
    [found] = read("// first\n@description('what')\n@secure()\nparam a string\n", "x.bicep")
    assert (found.kind, found.name, found.type, found.line) == ("param", "a", "string", 4)
    assert set(found.decorators) == {"description", "secure"}


def test_a_parameters_file_reads_variables_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "main.bicep").write_text(
        "targetScope = 'subscription'\nparam word string\noutput found string = word\n"
    )
    variable = "var yours = any(json(readEnvironmentVariable('HERE')))"
    (tmp_path / "its.bicepparam").write_text(f"using 'main.bicep'\n{variable}\nparam word = yours.?word ?? 'none'\n")
    assert Deployment(tmp_path, "its.bicepparam", environment={"HERE": '{"word": "a"}'}).outputs == {"found": "a"}
    assert Deployment(tmp_path, "its.bicepparam", environment={"HERE": "{}"}).outputs == {"found": "none"}
    with pytest.raises(BicepError, match=r"its\.bicepparam:2: the environment has no variable HERE"):
        Deployment(tmp_path, "its.bicepparam")
