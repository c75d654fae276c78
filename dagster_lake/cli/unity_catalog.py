"""``lake catalog``: Unity Catalog made to fit the lake. (``cli/shared/lake.py`` is about the lake's own tables.)"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from rich.console import Console

    from dagster_lake.unity_catalog.config import CatalogConfig
    from dagster_lake.unity_catalog.model import State
    from dagster_lake.unity_catalog.plan import Plan
    from dagster_lake.unity_catalog.workspace import Workspace

catalog = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Make Unity Catalog fit the lake: storage, schemas, tables, masks, tags and grants.

    What it must hold comes from `catalog.yaml`, the contracts and dbt; see docs/unity-catalog.md.

    **Examples**

        lake catalog plan
        lake catalog apply
    """,
)

_Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The YAML. [default: catalog.yaml of the project]")
]
_Prune = Annotated[
    bool, typer.Option("--prune", help="Also revoke and drop what is neither in the YAML nor in the contracts.")
]
CHANGES = 2
"""The exit code of ``plan --exit-code`` when there is something to do."""


@catalog.command("plan")
@readable_errors
def plan_command(
    config: _Config = None,
    prune: _Prune = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 2 when there is something to do.")] = False,
) -> None:
    """Show what `apply` would do, compared with what the workspace holds now.

    Nothing is changed. `+` is added, `~` changed, `-` taken away.

    **Examples**

        lake catalog plan
        lake catalog plan --exit-code --config prod.yaml
    """
    differs = plan_catalog(_console(), config, prune=prune)
    if exit_code and differs:
        raise typer.Exit(CHANGES)


@catalog.command("apply")
@readable_errors
def apply_command(
    config: _Config = None,
    prune: _Prune = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show the plan, ask, and carry it out. Run it again after a failure: it goes on from there.

    Nothing is revoked or dropped without `--prune`; what would be is listed.

    **Examples**

        lake catalog apply
        lake catalog apply --yes --config prod.yaml
    """
    if not apply_catalog(_console(), config, prune=prune, yes=yes):
        raise typer.Exit(1)


def plan_catalog(console: "Console", config: Path | None, *, prune: bool) -> bool:
    """Shows what would be done; whether there is anything to do."""
    from dagster_lake.unity_catalog.render import show_plan

    _, _, found, _ = _planned(console, config)
    show_plan(console, found, prune=prune)
    return bool(found.changes or found.conflicts or (prune and found.removals))


def apply_catalog(console: "Console", config: Path | None, *, prune: bool, yes: bool) -> bool:
    """Shows what is to be done, asks unless ``yes``, and does it; False when the answer was no."""
    from dagster_lake.unity_catalog.apply import apply
    from dagster_lake.unity_catalog.errors import CatalogError
    from dagster_lake.unity_catalog.render import show_plan, step_text

    workspace, desired, found, chosen = _planned(console, config)
    show_plan(console, found, prune=prune)
    if found.conflicts:
        raise CatalogError("nothing was changed: resolve the conflicts above first")
    wanted = [*(found.removals if prune else ()), *found.changes]
    if not wanted:
        return True
    if not yes and not typer.confirm("Apply this?"):
        console.print("Nothing was changed.")
        return False
    notes = apply(
        workspace,
        desired,
        wanted,
        lambda number, of, step: console.print(f"[{number}/{of}] {step_text(step)}", markup=False, soft_wrap=True),
    )
    for note in notes:
        console.print(f"Note: {note}", markup=False, soft_wrap=True)
    console.print("Applied. Have the lake use it:", soft_wrap=True)
    console.print(f"  LAKE_ROOT={chosen.storage_root} LAKE_CATALOG={chosen.catalog}", soft_wrap=True)
    return True


def _planned(console: "Console", file: Path | None) -> "tuple[Workspace, State, Plan, CatalogConfig]":
    from dagster_lake.cli.shared.lake import settings
    from dagster_lake.contract.model import contracts
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.unity_catalog.actual import actual_state, unbuilt_tables
    from dagster_lake.unity_catalog.config import DEFAULT_FILE, load_config
    from dagster_lake.unity_catalog.desired import desired_state
    from dagster_lake.unity_catalog.plan import plan
    from dagster_lake.unity_catalog.workspace import Workspace

    chosen = load_config(file or DEFAULT_FILE)
    lake_settings = settings()
    if lake_settings.branch:
        chosen = chosen.of_branch(lake_settings.branch)
    desired = desired_state(chosen, contracts(), manifest())
    workspace = Workspace.connect(chosen.warehouse_id or lake_settings.databricks.warehouse_id)
    if chosen.column_masks and lake_settings.engine == "databricks":
        console.print(
            "Warning: column_masks is true and LAKE_ENGINE is databricks, which has no history of a table with masks: "
            "steps of data sets with personal data will fail. Set column_masks: false.",
            style="bold yellow",
            soft_wrap=True,
        )
    with console.status("reading the workspace") as status:
        actual = actual_state(workspace, chosen.catalog, desired, status.update)
        unbuilt = unbuilt_tables(workspace, desired, actual, status.update)
    return workspace, desired, plan(desired, actual, unbuilt), chosen


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)
