"""The daily reconciliation of a database table: rows that never landed are landed, rows that are gone are marked.

Every step looks at what is there and does what is lacking, so that a reconciliation that died is simply run again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster_lake.contract.model import Contract
from dagster_lake.engines.step import Engine, Step
from dagster_lake.lake_hour import HOUR, HourRange, parse_hour
from dagster_lake.landing.hours import land_hours
from dagster_lake.landing.land import partitions
from dagster_lake.landing.source_look import Gone, SourceLook, SteppedBack, source_look
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.paths import Lake

SETTLED_AFTER = 3 * HOUR
"""The hours before now that are left alone: the hourly run looks for late commits in them itself."""

MARGIN = timedelta(minutes=10)
"""Rows written so shortly before the look are not taken for deleted: a replica may not have them yet."""

FEW = 5
"""No more than one known key in so many may be gone at once, unless that is accepted."""


@dataclass(frozen=True)
class Reconciled:
    """What a reconciliation found and did.

    ``missed`` are rows that the source held and raw did not, by hour, of which ``still_missed`` did not come when the
    hours were landed again (they were written anew meanwhile); ``made_again`` the hours that were made again
    from raw, and ``withheld`` those of them that silver refused, with the reason. ``older`` rows were written before
    the first landed hour. ``gone`` is None where the contract switches the look at all keys off; ``refused`` says why
    nothing was marked as deleted. ``refreshed`` are the hours whose latest rows were marked, or unmarked.
    """

    source_rows: int
    missed: dict[str, int]
    still_missed: int
    made_again: tuple[str, ...]
    withheld: dict[str, str]
    older: int
    stepped_back: SteppedBack
    gone: Gone | None
    refused: str | None
    refreshed: tuple[str, ...]


def reconcile(
    contract: Contract,
    lake: Lake,
    settings: Settings,
    sources: Sources,
    engine: Engine,
    now: datetime,
    *,
    accept_deletions: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Reconciled | None:
    """Reconciles one table; None when nothing of it has landed yet.

    Keys are compared in this process by DuckDB, whichever engine makes the tables. Raises DatabaseError when the
    source cannot be read.
    """
    landed = partitions(lake, contract)
    if not landed:
        return None
    hours = _hours(landed[0], now, settings.reconcile_days)
    whole = contract.reconcile == "daily"
    with source_look(settings, lake, contract, sources.database, hours, whole=whole) as look:
        missed = look.missed()
        for hour, rows in missed.items():
            tell(f"{contract.name}, hour {hour}: {rows} rows of the source never landed; the hour is landed again")
            land_hours(contract, lake, HourRange.of(hour), sources, refresh=True)
        still_missed = sum(look.missed().values()) if missed else 0
        made_again, withheld = _make_again(contract, engine, look, sorted(missed))
        gone: Gone | None = None
        refused: str | None = None
        refreshed: tuple[str, ...] = ()
        if whole:
            gone = look.find_gone(now - MARGIN)
            refused = None if accept_deletions else _refusal(contract, gone)
            if (gone.rows or gone.back) and refused is None:
                look.note_gone(now)
            refreshed = tuple(look.to_refresh())
            if refreshed:
                engine.run(Step(contract.name, "newest", refreshed))
        return Reconciled(
            source_rows=look.rows(),
            missed=missed,
            still_missed=still_missed,
            made_again=made_again,
            withheld=withheld,
            older=look.older_than(landed[0]) if whole else 0,
            stepped_back=look.stepped_back(),
            gone=gone,
            refused=refused,
            refreshed=refreshed,
        )


def _hours(first_landed: str, now: datetime, days: int) -> HourRange | None:
    """The closed hours to look back on: so many days, without the newest ones and none before the first landed."""
    open_hour = now.replace(minute=0, second=0, microsecond=0)
    first = max(parse_hour(first_landed), open_hour - timedelta(days=days))
    last = open_hour - SETTLED_AFTER - HOUR
    return HourRange(first, last) if first <= last else None


def _make_again(
    contract: Contract, engine: Engine, look: SourceLook, landed: list[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Makes the tables of these hours, and of those that a run left half made; gives all of them, and what silver
    refused."""
    unmade = sorted({*landed, *look.unmade()})
    withheld: dict[str, str] = {}
    if unmade:
        engine.run(Step(contract.name, "bronze", tuple(unmade)))
        withheld = dict(engine.run(Step(contract.name, "silver", tuple(unmade))).withheld)
    unmerged = sorted({*unmade, *look.unmerged()})
    if unmerged:
        engine.run(Step(contract.name, "newest", tuple(unmerged)))
    return tuple(unmerged), withheld


def _refusal(contract: Contract, gone: Gone) -> str | None:
    if gone.rows * FEW <= gone.known:
        return None
    return (
        f"{contract.name}: {gone.rows:,} of {gone.known:,} keys are gone from the source, more than one in {FEW}: is "
        "it the right database, and is its table whole? Nothing was marked as deleted. Where they were deleted on "
        "purpose, reconcile again with accept_deletions: true"
    )
