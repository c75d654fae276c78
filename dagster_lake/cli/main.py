"""The ``lake`` command: its global options, and the table of contents of its commands.

Nothing heavy is imported here or at the top of a command's file, so that ``lake --help`` answers at once.
"""

import os
from typing import Annotated

import typer

from dagster_lake.cli.alerts.commands import alerts
from dagster_lake.cli.branch import branch
from dagster_lake.cli.dbt import dbt
from dagster_lake.cli.demo.command import demo
from dagster_lake.cli.deploy.commands import deploy
from dagster_lake.cli.dev.command import dev
from dagster_lake.cli.doctor.command import doctor
from dagster_lake.cli.keys import keys
from dagster_lake.cli.lineage import lineage
from dagster_lake.cli.load.command import load
from dagster_lake.cli.preview import preview
from dagster_lake.cli.query import query
from dagster_lake.cli.repair import repair
from dagster_lake.cli.reset.command import reset
from dagster_lake.cli.status import status
from dagster_lake.cli.stream.command import stream
from dagster_lake.cli.unity_catalog import catalog
from dagster_lake.cli.upgrade import upgrade
from dagster_lake.cli.watch.command import watch

# Click suggests commands itself; typer would say it a second time.
app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True, add_completion=False, suggest_commands=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dagster-lake {version('dagster-lake')}")
        raise typer.Exit


@app.callback()
def lake(
    lake: Annotated[
        str | None,
        typer.Option("--lake", metavar="PATH", envvar="LAKE_ROOT", help="The lake's folder. [default: .lake]"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Build a lake on this machine, look into it, and keep it in order.

    Settings are read from the environment and from `.env`; see docs/cli.md.

    **Examples**

        lake demo
        lake status
        lake query "select city, sum(orders) from gold.engagements group by city"
        lake --lake /tmp/other-lake preview silver/users
    """
    if lake:
        # By environment, because Dagster and dbt read it too; absolute, because dbt changes the working directory.
        os.environ["LAKE_ROOT"] = lake if "://" in lake else os.path.abspath(os.path.expanduser(lake))


for command in (demo, dev, load, stream, watch, status, query, preview, lineage, doctor, repair, upgrade, reset):
    app.command()(command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(dbt)
app.add_typer(alerts, name="alerts")
app.add_typer(branch, name="branch")
app.add_typer(catalog, name="catalog")
app.add_typer(deploy, name="deploy")
app.add_typer(keys, name="keys")
