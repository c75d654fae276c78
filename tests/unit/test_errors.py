"""The library's errors have one base, and by it the command line knows what a person can mend."""

import ast
import builtins
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import dagster_lake
from dagster_lake.cli.shared.errors import readable_errors
from dagster_lake.errors import LakeError
from dagster_lake.storage.damage import Fault, TableDamaged


class OfSomebodyElse(LakeError):
    """An error of a project that uses the library."""


def _classes() -> Iterator[tuple[str, list[str]]]:
    """Every class of the library by name, with the names of its bases."""
    for file in Path(dagster_lake.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                yield node.name, [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def _is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return (isinstance(found, type) and issubclass(found, BaseException)) or name.endswith(("Error", "Exception"))


def test_every_public_error_of_the_library_is_a_lake_error() -> None:
    bases = dict(_classes())
    errors = {"LakeError"}
    while more := {name for name, own in bases.items() if errors & {*own}} - errors:
        errors |= more
    others = {name for name, own in bases.items() if any(map(_is_exception, own)) and not name.startswith("_")}
    assert others - errors == set()
    assert {"ContractError", "LostToOthers", "CommandError", "AzFailed"} <= errors


def test_a_command_shows_the_message_and_the_remedy_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    @readable_errors
    def command() -> None:
        raise OfSomebodyElse("users.odcs.yaml: id: is given twice", "remove one")

    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: users.odcs.yaml: id: is given twice; remove one\n"


def test_a_mistake_in_the_library_keeps_its_traceback() -> None:
    class Mistake(Exception):
        pass

    Mistake.__module__ = "dagster_lake.somewhere"

    @readable_errors
    def command() -> None:
        raise Mistake

    with pytest.raises(Mistake):
        command()


def test_an_error_holds_its_remedy_apart_and_its_text_as_before(tmp_path: Path) -> None:
    error = TableDamaged("silver.users", [Fault(tmp_path, "is empty", "data")])  # type: ignore[arg-type]
    assert str(error) == f"{error.message}; {error.remedy}"
    assert error.remedy == "`lake repair silver.users` shows what can be done, and does it"
    assert str(LakeError("nothing to add")) == "nothing to add"


def test_an_error_goes_from_one_process_to_another_whole() -> None:
    error = pickle.loads(pickle.dumps(LakeError("the disk is full", "make room")))
    assert (str(error), error.message, error.remedy) == ("the disk is full; make room", "the disk is full", "make room")
