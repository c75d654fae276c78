"""Which steps lead from each format of a lake to the next one, and how far a lake has come."""

from typing import Any

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.marker import change_marker, read_marker
from dagster_lake.storage.paths import FORMAT_VERSION, Lake, LakeFormatError
from dagster_lake.upgrade import from_1, remake
from dagster_lake.upgrade.step import Say, Step

STEPS: dict[int, tuple[Step, ...]] = {1: from_1.STEPS}
"""By the format that they begin with; those of one format lead to the next."""

MADE_ANEW = frozenset({1})
"""The formats whose tables the present code would have made otherwise, so that they are made again from raw."""

_DONE = "upgrade_done"


def steps_left(lake: Lake) -> list[Step]:
    """The steps that bring the lake to the present format, those left out that were done already; none when it has it.

    Raises LakeFormatError for a lake of a later format, or where there is none.
    """
    content = _content(lake)
    first = _begun_with(content, lake)
    if first == FORMAT_VERSION:
        return []
    wanted = [step for version in range(first, FORMAT_VERSION) for step in STEPS[version]]
    if any(version in MADE_ANEW for version in range(first, FORMAT_VERSION)):
        wanted += remake.STEPS
    return [step for step in wanted if step.name not in content.get(_DONE, [])]


def upgrade(lake: Lake, settings: Settings, say: Say) -> None:
    """Carries the steps out. ``lake.json`` says after each how far the lake has come: a lake in between is refused by
    every version, and the same command goes on where it was killed."""
    left = steps_left(lake)
    if not left:
        return
    change_marker(lake.root, _begun)
    for step in left:
        step.run(lake, settings, say)
        change_marker(lake.root, lambda held, step=step: _with(held, step))  # type: ignore[misc]
    change_marker(lake.root, _finished)


def _content(lake: Lake) -> dict[str, Any]:
    text = read_marker(lake.root)
    if text is None:
        raise LakeFormatError(f"there is no lake at {lake.root}; name one with --lake")
    return lake.content_of(text)


def _begun_with(content: dict[str, Any], lake: Lake) -> int:
    """The format that the lake had before any step."""
    told = str(content.get("format_version")).partition(" ")[0]
    if not told.isdigit() or not 1 <= int(told) <= FORMAT_VERSION:
        raise LakeFormatError(
            f"{lake.marker} says format_version {content.get('format_version')}; this version of dagster_lake brings "
            f"lakes of 1 to {FORMAT_VERSION - 1} to {FORMAT_VERSION}: install a later one"
        )
    return int(told)


def _begun(held: dict[str, Any] | None) -> dict[str, Any]:
    assert held is not None
    # No version reads a format of this name, the one that the lake was made by included.
    began = str(held["format_version"]).partition(" ")[0]
    return {**held, "format_version": f"{began} to {FORMAT_VERSION}"}


def _with(held: dict[str, Any] | None, step: Step) -> dict[str, Any]:
    assert held is not None
    return {**held, _DONE: [*held.get(_DONE, []), step.name]}


def _finished(held: dict[str, Any] | None) -> dict[str, Any]:
    assert held is not None
    kept = {name: value for name, value in held.items() if name != _DONE}
    return {**kept, "format_version": FORMAT_VERSION}
