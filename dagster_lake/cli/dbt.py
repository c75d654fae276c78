"""``lake dbt``: dbt by hand, on the dbt project of the lake."""

import os
import sys

import typer

from dagster_lake.cli.shared.errors import readable_errors

_DBT = "from dbt.cli.main import cli; cli(prog_name='dbt')"


@readable_errors
def dbt(context: typer.Context) -> None:
    """Run dbt on the lake's dbt project, with the lake's profiles and macros: `lake dbt deps`.

    What follows `dbt` goes to dbt as it is. The project is the shop's, or the one that LAKE_DBT_PROJECT names.

    Tables are made by Dagster, which tells a model its hours; here one looks, and installs packages.

    **Examples**

        lake dbt deps
        lake dbt parse
        lake dbt ls --resource-type model
        lake dbt test --select test_type:unit
    """
    from dagster_lake.cli.shared.lake import settings
    from dagster_lake.dbt_runner.manifest import require_project

    chosen = settings()
    os.environ["LAKE_ROOT"] = str(chosen.root)
    command = [sys.executable, "-c", _DBT, *context.args, *require_project(installed=False).flags]
    os.execv(command[0], command)
