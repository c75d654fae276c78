"""The lake and the table that a command is about, or what to tell when there is none."""

from difflib import get_close_matches

from pydantic import ValidationError

from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.cli.shared.text import path_text
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.listing import LakeTable
from dagster_lake.storage.paths import Lake

EMPTY = "The lake is empty. Build one with:  lake demo"


def settings() -> Settings:
    """The settings. Raises CommandError, naming the variable, for a value that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise CommandError(f"LAKE_{name}: {first['msg']}; correct it in the environment or in .env") from None


def existing_lake(settings: Settings) -> Lake | None:
    """The lake at ``settings.root``; None when there is none yet, and none is made.

    Raises LakeFormatError for a lake of another format.
    """
    return Lake.of(settings) if Lake.placed(settings).exists() else None


def wanted_lake(settings: Settings) -> Lake:
    """The lake at ``settings.root``. Raises CommandError when there is none."""
    lake = existing_lake(settings)
    if lake is None:
        raise CommandError(
            f"there is no lake at {path_text(settings.root)}; build one with `lake demo`, or name one with --lake"
        )
    return lake


def find_table(catalog: list[LakeTable], name: str) -> LakeTable:
    """The table called ``silver.users``, ``silver/users``, or ``users`` where only one layer has it.

    Raises CommandError that lists near names.
    """
    wanted = name.replace("/", ".").lower()
    found = [t for t in catalog if wanted in (t.name, t.plain_name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"{name!r} is in several layers; write one of: {', '.join(t.name for t in found)}")
    raise CommandError(f"there is no table {name!r}; {near_names(catalog, wanted)}")


def near_names(catalog: list[LakeTable], wanted: str) -> str:
    """The advice for a name that no table has: those that come near, or where to find them all."""
    if not catalog:
        return "the lake has no tables yet: build them with `lake demo`"
    near = get_close_matches(wanted, [t.name for t in catalog], n=3, cutoff=0.75)
    plain = get_close_matches(wanted.split(".")[-1], {t.plain_name for t in catalog}, n=1, cutoff=0.75)
    near += [t.name for t in catalog if t.plain_name in plain and t.name not in near]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "`lake status` lists the tables"
