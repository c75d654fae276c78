"""Every command explains itself in --help and in docs/cli.md."""

import re
import subprocess
import sys
import time

import click
import pytest
import typer.main
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.settings.lake import PROJECT_ROOT

DOCS = (PROJECT_ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, click.Group)
COMMANDS = sorted(GROUP.commands)
WIDE = {"COLUMNS": "160", "NO_COLOR": "1"}


def examples_of(help_text: str) -> list[str]:
    return [line.strip() for line in help_text.split("**Examples**")[1].splitlines() if line.strip()]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_each_example_on_a_line_of_its_own(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], env=WIDE)
    lines = [line.strip() for line in result.output.splitlines()]
    assert result.exit_code == 0
    assert "Examples" in lines
    examples = examples_of(GROUP.commands[name].help or "")
    assert examples
    assert [example for example in examples if example not in lines] == []
    assert all(example.startswith("lake ") for example in examples)


def test_a_command_that_is_misspelt_is_suggested_once() -> None:
    said = CliRunner().invoke(app, ["stauts"], env=WIDE).output
    assert said.count("'status'") == 1


def test_the_help_of_lake_shows_its_examples() -> None:
    result = CliRunner().invoke(app, ["--help"], env=WIDE)
    lines = [line.strip() for line in result.output.splitlines()]
    assert [example for example in examples_of(GROUP.help or "") if example not in lines] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_docs_have_a_section_for_each_command_with_all_its_options(name: str) -> None:
    section = re.search(rf"^## lake {name}\n(.*?)(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/cli.md has no section '## lake {name}'"
    options = [option for p in GROUP.commands[name].params for option in p.opts if option.startswith("--")]
    assert [option for option in options if option not in section[1]] == []


def test_the_docs_name_the_global_options() -> None:
    options = [option for p in GROUP.params for option in p.opts if option.startswith("--")]
    assert options
    assert [option for option in options if option not in DOCS] == []


def test_the_docs_have_no_section_for_a_command_that_is_gone() -> None:
    assert sorted(re.findall(r"^## lake (\w+)$", DOCS, re.MULTILINE)) == COMMANDS


def test_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert re.fullmatch(r"dagster-lake \d+\.\d+\.\d+\n", result.output)


def test_help_imports_nothing_heavy_and_answers_at_once() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from dagster_lake.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([m for m in ('dagster', 'duckdb', 'deltalake', 'pyarrow', 'pydantic', 'dbt') if m in sys.modules])"
    )
    started = time.monotonic()
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"
    assert time.monotonic() - started < 5  # generous: other tests run beside it


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_USERS", "many")
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "LAKE_USERS" in result.output
    assert "Traceback" not in result.output
