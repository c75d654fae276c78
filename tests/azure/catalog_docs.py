"""Writes the output and the tables in docs/unity-catalog.md anew: ``python -m tests.azure.catalog_docs``.

Every ```console block of a `lake catalog` command is run against one fake workspace, from the first to the last; what
a comment ``<!-- meanwhile: ... -->`` before a block names happens first. Of a long output the lines around ``...`` are
kept: as many at the start and at the end as the block had before.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.unity_catalog.config import CatalogConfig
from dagster_lake.unity_catalog.desired import desired_state
from dagster_lake.unity_catalog.model import Securable, State
from tests.azure.catalog_yaml import STEP, config, filled_in, write_yaml
from tests.azure.fake_unity_catalog import WAREHOUSE, FakeUnityCatalog, Fault, Refused
from tests.docs.console import shortened

PAGE = PROJECT_ROOT / "docs" / "unity-catalog.md"
_BLOCK = re.compile(
    r"(?P<before><!-- meanwhile: (?P<event>\w+) -->\n)?```console\n\$ (?P<command>[^\n]*)\n(?P<output>.*?)```", re.S
)
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(?=<!-- end -->)", re.S)


def renewed(page: str) -> str:
    """The page with the output and the tables as they are now."""
    with tempfile.TemporaryDirectory() as folder:
        state = desired_state(config(Path(folder)), contracts(), manifest())
        page = _TABLE.sub(lambda table: f"{table[1]}{_TABLES[table[2]](state)}\n", page)
        file = write_yaml(Path(folder), filled_in())
        fake = FakeUnityCatalog()
        with fake.serve() as host:
            return _BLOCK.sub(lambda block: _run(fake, host, file, block), page)


def _run(fake: FakeUnityCatalog, host: str, file: Path, block: re.Match[str]) -> str:
    if block["event"]:
        _EVENTS[block["event"]](fake)
    arguments = block["command"].removeprefix("lake ").split()
    environment = {
        **{"DATABRICKS_HOST": host, "DATABRICKS_TOKEN": "x", "LAKE_DATABRICKS_WAREHOUSE_ID": WAREHOUSE},
        **{"COLUMNS": "100", "LAKE_ENGINE": "duckdb"},
    }
    result = CliRunner().invoke(app, [*arguments, "--config", str(file)], env=environment, input="y\n")
    lines = [line.rstrip() for line in result.output.rstrip().splitlines()]
    text = "\n".join(shortened(lines, block["output"].splitlines()))
    return f"{block['before'] or ''}```console\n$ {block['command']}\n{text}\n```"


def _drift(fake: FakeUnityCatalog) -> None:
    fake.tables["shop_dev.silver.users"]["comment"] = "Ask Eve"
    fake.grants["schema", "shop_dev.gold"]["shop-readers"] = ["USE_SCHEMA"]
    fake.grants["schema", "shop_dev.sensitive"]["eve@example.com"] = ["SELECT", "USE_SCHEMA"]
    fake.files["abfss://lake@shopdev.dfs.core.windows.net/gold/daily_sales"] = [
        *("day", "orders", "buyers", "items", "revenue", "value_without_items", "avg_order_value")
    ]


def _denied(fake: FakeUnityCatalog) -> None:
    refusal = Refused(403, "PERMISSION_DENIED", "User does not have USE CATALOG on Catalog 'shop_dev'.")
    fake.faults.append(Fault("GET .*/schemas", refusal))


_EVENTS: dict[str, Callable[[FakeUnityCatalog], None]] = {"drift": _drift, "denied": _denied}


def _grants(state: State) -> str:
    names = {"shop-readers": "readers", "shop-analysts": "analysts", "shop-engineers": "engineers"}
    names |= {"shop-sensitive": "sensitive_readers", STEP: "step_principal"}
    lines = [f"| object | {' | '.join(names.values())} |", f"|---|{'---|' * len(names)}"]
    for one in state.values():
        if one.grants:
            cells = [", ".join(sorted(one.grants.get(who, ()))).replace("_", " ").lower() for who in names]
            lines.append(f"| {one.kind} `{_plain(one)}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _masks(state: State) -> str:
    lines = ["| table | column | masked by | the contract's masking |", "|---|---|---|---|"]
    for one in state.values():
        for name, column in one.columns.items():
            if column.mask:
                function = column.mask.split(".", 1)[1]
                lines.append(f"| `{_plain(one)}` | `{name}` | `{function}` | {column.tags.get('masking', '')} |")
    return "\n".join(lines)


def _functions(state: State) -> str:
    functions = [one for one in state.values() if one.kind == "function"]
    return "\n".join(["```sql", *(f"-- {_plain(f)}\n{f.settings['definition']}" for f in functions), "```"])


def _fields(_: State) -> str:
    lines = ["| field | what to do |", "|---|---|"]
    for name, field in CatalogConfig.model_fields.items():
        lines.append(f"| `{name}`{'' if field.is_required() else ' (optional)'} | {field.description} |")
    return "\n".join(lines)


def _plain(one: Securable) -> str:
    return one.name.removeprefix("shop_dev.")


_TABLES: dict[str, Callable[[State], str]] = {
    "grants": _grants,
    "masks": _masks,
    "functions": _functions,
    "fields": _fields,
}


if __name__ == "__main__":
    os.environ.pop("LAKE_ENGINE", None)
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
