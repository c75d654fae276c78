"""Reads the workflows, and the scripts that they call, and says which of their commands cannot be.

A command is one of the project's (a target of the Makefile, a script, `lake`, `dagster`, `dbt`, a module), which is
held against what parses it when it runs, or another's program, which must be one that a runner has.
"""

import re
import shlex
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import yaml

ROOT = Path(__file__).parents[2]
OTHERS = {"az", "databricks", "docker", "gh", "git", "go", "skopeo"}
"""Programs of others that a runner has, or that a step before has installed."""
SHELL = {"echo", "tee"}
_KEYWORDS = {"if", "then", "else", "elif", "fi", "for", "do", "done", "while", "case", "esac", "!", "{", "}"}


@dataclass(frozen=True)
class Step:
    """One step of a job, and where it stands."""

    workflow: str
    job: str
    number: int
    content: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.workflow}: {self.job}: step {self.number}"


def workflows() -> dict[str, dict[str, Any]]:
    """Every workflow by its file's name; the word on, which YAML takes for yes, is text again."""
    found = {}
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        found[file.name] = {("on" if key is True else key): value for key, value in content.items()}
    return found


def steps(workflow: str, content: dict[str, Any]) -> Iterator[Step]:
    for name, job in content["jobs"].items():
        for number, step in enumerate(job.get("steps", []), 1):
            yield Step(workflow, name, number, step)


def problems_of(line: str) -> list[str]:
    """What is wrong with the commands of a line of shell."""
    return [problem for command in commands(line) for problem in problems_of_command(command)]


def commands_of_script(text: str) -> list[list[str]]:
    """The commands of a bash script that are programs of .venv; arrays that it fills are put in where they are used."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if ".venv/bin" in line or "$bin/" in line or "=(" in line]
    arrays = {found[1]: found[2] for line in lines if (found := re.fullmatch(r"(\w+)=\((.*)\)", line))}
    for name, value in arrays.items():
        lines = [line.replace(f'"${{{name}[@]}}"', value) for line in lines if not line.startswith(f"{name}=(")]
    found_commands = [command for line in lines for command in commands(line)]
    return [command for command in found_commands if command[0].startswith(".venv/bin/")]


def commands(line: str) -> Iterator[list[str]]:
    """The single commands of a line, with a word in place of each variable, and without what is assigned before."""
    plain = re.sub(r"\$\{BIN:-\.venv/bin\}|\$bin\b", ".venv/bin", line)
    plain = re.sub(r"\$\([^()]*\)", "value", plain)
    plain = re.sub(r"\$\{[^}]*\}|\$\w+|\$[@#*]", "value", plain)
    lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    skip = False
    for word in lexer:
        if word in ("|", "||", "&&", ";", "&", ";;"):
            yield from _single(command)
            command, skip = [], False
        elif set(word) <= set("<>&") or skip:
            skip = not skip  # a redirection, and then where it goes
        elif word in _KEYWORDS and not command:
            continue
        else:
            command.append(word)
    yield from _single(command)


def _single(command: list[str]) -> Iterator[list[str]]:
    while command and re.match(r"^\w+=", command[0]):
        command = command[1:]
    if command:
        yield command


def problems_of_command(command: list[str]) -> Iterator[str]:
    program, arguments = command[0], command[1:]
    own = program.removeprefix(".venv/bin/")
    if own == "make":
        yield from _make(arguments)
    elif own in ("lake", "dagster", "dbt"):
        yield from _parsed(own, arguments)
    elif own == "python":
        yield from _python(arguments)
    elif program.startswith(("scripts/", ".ci/")):
        yield from _script(program, arguments)
    elif program not in OTHERS | SHELL:
        yield f"{program}: not a program that a runner has"


def _make(arguments: Sequence[str]) -> Iterator[str]:
    done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        yield f"make {' '.join(arguments)}: {done.stderr.strip()}"


def _script(program: str, arguments: Sequence[str]) -> Iterator[str]:
    file = ROOT / program
    if not file.is_file():
        yield f"{program} does not exist"
        return
    if not file.stat().st_mode & stat.S_IXUSR:
        yield f"{program} cannot be executed"
    text = file.read_text(encoding="utf-8")
    if program == "scripts/summarise":
        yield from problems_of_command(list(arguments))
        return
    for option in arguments:
        if option.startswith("--") and f'"{option}"' not in text:
            yield f"{program} has no option {option}"


def _python(arguments: Sequence[str]) -> Iterator[str]:
    if arguments[:1] == ["-m"] and find_spec(arguments[1]) is None:
        yield f"there is no module {arguments[1]}"
    elif arguments and arguments[0].endswith(".py") and not (ROOT / arguments[0]).is_file():
        yield f"{arguments[0]} does not exist"


def _parsed(program: str, arguments: Sequence[str]) -> Iterator[str]:
    """What the program itself says of the arguments; nothing is carried out."""
    command = cli(program)
    context = click.Context(command, info_name=program)
    left = list(arguments)
    try:
        while isinstance(command, click.Group):
            # The group's own options, then the command's name.
            context = click.Context(command, info_name=command.name, parent=context.parent)
            context.allow_interspersed_args = False
            command.parse_args(context, left)
            left = [*context._protected_args, *context.args]
            name, found, left = command.resolve_command(context, left)
            if found is None:
                raise click.UsageError(f"No such command {name!r}")
            command = found
            context = click.Context(command, info_name=name, parent=context)
        command.make_context(context.info_name, left, parent=context.parent)
    except (click.ClickException, click.exceptions.Exit) as error:
        told = error.format_message() if isinstance(error, click.ClickException) else "prints its help and ends"
        yield f"{program} {' '.join(arguments)}: {told}"


def cli(program: str) -> click.Command:
    if program == "lake":
        import typer.main

        from dagster_lake.cli import app

        return typer.main.get_command(app)
    if program == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    from dbt.cli.main import cli as dbt

    return dbt
