"""The lake as a component of somebody else's Dagster project: contracts and models -> assets, by one ``defs.yaml``::

type: dagster_lake.component.LakeComponent
attributes:
  contracts: contracts
  dbt_project: dbt
  owner: team:water
"""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from dagster_lake.errors import LakeError

_FIRST_CONTRACT = """\
# The data set `readings`: JSON lines that are dropped into landing/readings/ of the lake. docs/add-a-data-set.md says
# what else a contract can say. The file, `name` and the schema's name are one name.
apiVersion: v3.1.0
kind: DataContract
id: urn:datacontract:mine:readings
name: readings
version: 1.0.0
status: active
domain: mine
description:
  purpose: What a meter showed.
team:
  name: mine
  members:
    - username: team:mine
      role: owner
customProperties:
  - property: source
    value: {kind: files, format: json_lines}
schema:
  - name: readings
    logicalType: object
    properties:
      - name: reading_id
        logicalType: integer
        primaryKey: true
        description: The reading's number.
      - name: cubic_metres
        logicalType: number
        physicalType: decimal(12,3)
        required: true
        description: What was used since the reading before.
        logicalTypeOptions: {minimum: 0}
"""


class LakeComponentError(LakeError):
    """The component cannot be what its ``defs.yaml`` says; the message names the attribute and the remedy."""


class LakeScaffolder(dg.Scaffolder):
    """``dg scaffold defs dagster_lake.component.LakeComponent NAME``: a lake of one data set, to go on from."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Writes ``defs.yaml`` and ``contracts/readings.odcs.yaml``."""
        contracts = Path(request.target_path) / "contracts"
        contracts.mkdir(parents=True, exist_ok=True)
        (contracts / "readings.odcs.yaml").write_text(_FIRST_CONTRACT, encoding="utf-8")
        dg.scaffold_component(request, {"contracts": "contracts", "owner": "team:mine"})


@dg.scaffold_with(LakeScaffolder)
class LakeComponent(dg.Component, dg.Model, dg.Resolvable):
    """A lake: assets from raw to gold, their checks, jobs, schedules and sensors, from contracts and dbt models."""

    contracts: list[str] | str = Field(
        description="The folder of *.odcs.yaml contracts, or several; relative to the file that says so."
    )
    dbt_project: str | None = Field(
        default=None,
        description="The folder of the dbt project; without it there are bronze and silver, and no models.",
    )
    owner: str | None = Field(
        default=None, description="Who owns what is of no contract and no model, such as gold/lake_status: team:water."
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of the lake.

        Raises LakeComponentError for a folder that is not there, and where the environment or another component of the
        process names another lake: contracts are read once per process.
        """
        folders = [self.contracts] if isinstance(self.contracts, str) else self.contracts
        own = {"LAKE_CONTRACTS": os.pathsep.join(_folder(context, "contracts", folder) for folder in folders)}
        if self.dbt_project is not None:
            own["LAKE_DBT_PROJECT"] = _folder(context, "dbt_project", self.dbt_project)
        if self.owner is not None:
            own["LAKE_OWNER"] = self.owner
        for name, value in own.items():
            if os.environ.setdefault(name, value) != value:
                raise LakeComponentError(
                    f"{context.path}: {name} is {os.environ[name]} already",
                    "remove it from the environment, or give each lake a code location of its own",
                )
        from dagster_lake.definitions import defs

        return defs


def _folder(context: dg.ComponentLoadContext, attribute: str, given: str) -> str:
    place = context.path if context.path.is_dir() else context.path.parent
    folder = (place / given).resolve()
    if not folder.is_dir():
        raise LakeComponentError(f"{context.path}: {attribute}: there is no folder {folder}", "correct it in defs.yaml")
    return str(folder)
