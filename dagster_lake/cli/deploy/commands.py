"""``lake deploy``: the lake's base on Azure, from `lake.yaml`, by the Azure CLI."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dagster_lake.cli.shared.errors import CommandError, readable_errors

if TYPE_CHECKING:
    from rich.console import Console

    from dagster_lake.deploy.target import Target

deploy = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Deploy the lake's base on Azure from `lake.yaml`, by the Azure CLI and `lake catalog`.

    See docs/azure.md, from an empty subscription to a running lake.

    **Examples**

        lake deploy plan --environment dev
        lake deploy apply --environment dev
        lake deploy outputs --environment dev --env >> .env
    """,
)


# As in deploy/lake_file.py, which is not imported for `lake --help`.
StageName = Literal["dev", "test", "prod"]
_Stage = Annotated[StageName, typer.Option("--environment", "-e", help="Which one.")]
_File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The YAML. [default: lake.yaml]")]
CHANGES = 2
"""The exit code of ``plan --exit-code`` when there is something to do."""


@deploy.command("plan")
@readable_errors
def plan_command(
    environment: _Stage,
    file: _File = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 2 when there is something to do.")] = False,
) -> None:
    """Show what `apply` would do, compared with what is in Azure now. Nothing is changed.

    `+` is created, `~` changed, `-` deleted; of what is marked `?`, Azure cannot tell before.

    **Examples**

        lake deploy plan --environment dev
        lake deploy plan --environment prod --exit-code
    """
    from dagster_lake.cli.deploy.text import show_changes, show_hands
    from dagster_lake.cli.unity_catalog import plan_catalog
    from dagster_lake.deploy.apply import differs, newest
    from dagster_lake.deploy.catalog import catalog_file, workspace
    from dagster_lake.deploy.deployment import running
    from dagster_lake.deploy.preflight import unregistered
    from dagster_lake.deploy.what_if import what_if

    console = _console()
    target = _checked(console, environment, file)
    with console.status("asking Azure what would change"):
        at_work = running(target.az, target.prefix)
        providers = unregistered(target.az)
        name = f"{target.prefix}{target.fingerprint}"
        changes = what_if(target.az, name, target.lake.region, target.parameters_file)
        latest = newest(target)
    show_changes(console, changes)
    show_hands(console, target, changes, providers, at_work)
    to_do = differs(target, changes, latest) or bool(providers)
    if latest and (wanted := catalog_file(target, latest.outputs)):
        console.print(f"\n[bold]Unity Catalog[/] ({wanted.name})")
        with workspace(target, latest.outputs):
            to_do |= plan_catalog(console, wanted, prune=False)
    if exit_code and to_do:
        raise typer.Exit(CHANGES)


@deploy.command("apply")
@readable_errors
def apply_command(
    environment: _Stage,
    file: _File = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show the plan, ask, carry it out, and wait for its end.

    Run it again after a failure or a kill: it goes on from there. A deployment that is at work in Azure is waited for,
    and never begun twice.

    **Examples**

        lake deploy apply --environment dev
        lake deploy apply --environment prod --yes
    """
    from dagster_lake.cli.deploy.text import Terminal, show_next, show_outputs
    from dagster_lake.cli.unity_catalog import apply_catalog
    from dagster_lake.deploy.apply import deployed, finish
    from dagster_lake.deploy.catalog import catalog_file, workspace
    from dagster_lake.deploy.state import alone

    console = _console()
    target = _checked(console, environment, file)
    with alone(target.state_file):
        deployment = deployed(target, Terminal(console, target, yes=yes))
        if deployment is None:
            console.print("Nothing was changed.")
            raise typer.Exit(1)
        show_outputs(console, deployment.outputs)
        if wanted := catalog_file(target, deployment.outputs):
            console.print(f"\n[bold]Unity Catalog[/] ({wanted.name})")
            with workspace(target, deployment.outputs):
                if not apply_catalog(console, wanted, prune=False, yes=yes):
                    raise typer.Exit(1)
        finish(target, deployment)
    show_next(console, target, deployment.outputs)


@deploy.command("outputs")
@readable_errors
def outputs_command(
    environment: _Stage,
    file: _File = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    as_env: Annotated[bool, typer.Option("--env", help="As the lake's settings, for `.env`.")] = False,
) -> None:
    """Print what the last deployment that succeeded has given: names and addresses, no secrets.

    **Examples**

        lake deploy outputs --environment dev
        lake deploy outputs --environment dev --json
        lake deploy outputs --environment dev --env >> .env
    """
    from dagster_lake.cli.deploy.text import show_outputs
    from dagster_lake.deploy.apply import newest
    from dagster_lake.deploy.outputs import settings

    if as_json and as_env:
        raise CommandError("--json and --env are two forms; give one")
    target = _found(environment, file)
    latest = newest(target)
    if latest is None:
        raise CommandError(
            f"no deployment of {environment} has succeeded yet; lake deploy apply --environment {environment} makes one"
        )
    if as_json:
        typer.echo(json.dumps(latest.outputs, indent=2))
    elif as_env:
        for name, value in settings(target.lake, target.stage, latest.outputs).items():
            typer.echo(f"{name}={value}")
    else:
        show_outputs(_console(), latest.outputs)


def _found(environment: StageName, file: Path | None) -> "Target":
    from dagster_lake.deploy.lake_file import DEFAULT_FILE
    from dagster_lake.deploy.target import Target

    return Target.found(file or DEFAULT_FILE, environment)


def _checked(console: "Console", environment: StageName, file: Path | None) -> "Target":
    from dagster_lake.cli.deploy.text import line
    from dagster_lake.deploy.lake_file import DEFAULT_FILE
    from dagster_lake.deploy.target import Target

    with console.status("checking lake.yaml, the templates and the Azure CLI"):
        target = Target.checked(file or DEFAULT_FILE, environment)
    line(console, f"{target.prefix.rstrip('-')}: subscription {target.login.subscription}, as {target.login.user}")
    return target


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)
