"""docs/databricks.md explains every setting as the code does. To write the table anew: run this file as a module."""

import json
import re
from typing import Any

from dagster_lake.settings.databricks import DatabricksSettings, Prices
from dagster_lake.settings.lake import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "databricks.md"
TABLE = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.DOTALL)


def table() -> str:
    """The settings as Markdown."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in DatabricksSettings.model_fields.items():
        lines.append(f"| `LAKE_DATABRICKS_{name.upper()}` | {_shown(field.default)} | {field.description}. |")
    return "\n".join(lines) + "\n"


def _shown(default: Any) -> str:
    if default is None or isinstance(default, Prices):
        return "none"
    return f"`{json.dumps(default) if isinstance(default, bool) else default}`"


def test_every_setting_is_explained() -> None:
    assert TABLE.search(PAGE.read_text(encoding="utf-8"))[0] == f"<!-- settings -->\n{table()}<!-- /settings -->"  # type: ignore[index]


def test_the_example_price_table_is_one() -> None:
    [example] = re.findall(r"^LAKE_DATABRICKS_PRICES=(.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert Prices.model_validate_json(example).nodes


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda m: f"{m[1]}{table()}{m[2]}", PAGE.read_text(encoding="utf-8")), encoding="utf-8")
