"""A filled-in lake.yaml, as the project's example says it."""

from pathlib import Path

from dagster_lake.deploy.lake_file import DEFAULT_FILE
from tests.azure.azure_ids import SUBSCRIPTION, TENANT

ADMINISTRATORS = "55555555-5555-5555-5555-555555555555"
USERS = "44444444-4444-4444-4444-444444444444"
_NIL = "00000000-0000-0000-0000-000000000000"


def filled_in(*changes: tuple[str, str]) -> str:
    """The example with its placeholders replaced, then each first part of ``changes`` by its second, where first."""
    text = DEFAULT_FILE.read_text(encoding="utf-8").replace("CHANGE_ME", "somebody").replace("change-me@", "lake@")
    for field, value in (("tenant", TENANT), ("subscription", SUBSCRIPTION), ("id", ADMINISTRATORS)):
        text = text.replace(f" {field}: {_NIL}", f" {field}: {value}").replace(
            f"\n{field}: {_NIL}", f"\n{field}: {value}"
        )
    text = text.replace(_NIL, USERS)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def write_lake_yaml(folder: Path, *changes: tuple[str, str]) -> Path:
    """``filled_in`` as ``folder/lake.yaml``."""
    file = folder / "lake.yaml"
    file.write_text(filled_in(*changes), encoding="utf-8")
    return file
