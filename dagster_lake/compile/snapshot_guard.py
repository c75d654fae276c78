"""A snapshot that is empty, or lost many of its keys, is more likely a broken export than the truth."""

from collections.abc import Callable, Sequence

from dagster_lake.compile.columns import SNAPSHOT
from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.silver import keys_select
from dagster_lake.contract import Contract

MOST_LOST = 0.2


class SnapshotRefused(Exception):
    """A snapshot that silver does not take unless told so."""


def lost_keys_select(contract: Contract, dialect: Dialect) -> str:
    """How many keys of ``held``, a snapshot in silver, ``offered`` lacks, a snapshot in bronze; and how many there
    are."""
    keys = ", ".join(dialect.identifier(p.name) for p in contract.keys)
    return (
        f"SELECT count(*) FILTER (WHERE o.{SNAPSHOT.name} IS NULL), count(*) FROM held h "
        f"LEFT JOIN (SELECT DISTINCT * FROM ({keys_select(contract, dialect, 'offered')})) o USING ({keys})"
    )


def refuse_when_shrunken(contract: Contract, snapshot: str, earlier: str, *, lost: int, held: int) -> None:
    """Raises SnapshotRefused when ``snapshot`` lost more than a fifth of the keys that ``earlier`` held."""
    if held and lost > MOST_LOST * held:
        raise SnapshotRefused(
            f"{contract.name}: snapshot {snapshot} lacks {lost:,} of the {held:,} keys of {earlier}. If the source "
            f"did shrink, materialise silver/{contract.name}_snapshots with the config accept_shrink: true; if the "
            f"export is broken, put a whole one into the landing folder and materialise again"
        )


def without_refused(
    snapshots: Sequence[str], took: Callable[[str], bool], refuse: Callable[[str], None], *, accept_newest: bool
) -> list[str]:
    """The snapshots to take. What silver ``took`` once is not asked about again. One for which ``refuse`` raises
    SnapshotRefused is passed over when a newer one follows; the newest one raises, unless it is to be accepted."""
    taken = []
    for snapshot in snapshots:
        newest = snapshot == snapshots[-1]
        try:
            if not (newest and accept_newest) and not took(snapshot):
                refuse(snapshot)
        except SnapshotRefused:
            if newest:
                raise
        else:
            taken.append(snapshot)
    return taken
