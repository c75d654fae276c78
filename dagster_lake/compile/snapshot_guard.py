"""A snapshot that is empty, or lost many of its keys, is more likely a broken export than the truth."""

from collections.abc import Callable, Sequence

from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import valid_keys_select
from dagster_lake.contract.model import Contract

MOST_LOST = 0.2


def lost_keys_select(contract: Contract, dialect: Dialect) -> str:
    """Of how many keys of ``held``, a snapshot in silver, ``offered``, a snapshot in bronze, lacks a valid row; and how
    many there are."""
    keys = ", ".join(dialect.identifier(p.name) for p in contract.keys)
    valid = f"SELECT DISTINCT {keys}, true AS _there FROM ({valid_keys_select(contract, dialect, 'offered')})"
    return f"SELECT count(*) FILTER (WHERE o._there IS NULL), count(*) FROM held h LEFT JOIN ({valid}) o USING ({keys})"


def why_shrunken(earlier: str, *, lost: int, held: int) -> str | None:
    """Why a snapshot is not taken that lost more than a fifth of the keys that ``earlier`` held; None when it is."""
    if held and lost > MOST_LOST * held:
        return f"lacks {lost:,} of the {held:,} keys of {earlier}"
    return None


def shrunken(
    snapshots: Sequence[str], took: Callable[[str], bool], why: Callable[[str], str | None], *, accept_newest: bool
) -> dict[str, str]:
    """The snapshots that are not taken, and ``why``. What silver ``took`` once is not asked about again, nor is the
    newest one when it is to be accepted."""
    asked = snapshots[:-1] if accept_newest else snapshots
    found = {snapshot: why(snapshot) for snapshot in asked if not took(snapshot)}
    return {snapshot: reason for snapshot, reason in found.items() if reason is not None}
