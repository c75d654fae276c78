"""What an engine does: it runs steps. A step is plain data, so that it can travel to where the engine is."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from dagster_lake.compile.fingerprint import fingerprint
from dagster_lake.contract.model import Contract


@dataclass(frozen=True)
class Step:
    """One layer of one data set for some of its partitions.

    ``bronze`` reads raw, ``silver`` reads bronze; both replace exactly the named partitions, but that silver of events
    makes later hours again, too, in which copies of their events win or lose by them now. ``newest`` brings the table
    that holds one row a key up to date with the named hours of silver and with deletions of their rows; with snapshots,
    it does with all that silver has taken. Without partitions (nothing of a snapshot was ever delivered) a step sees
    to it that its tables are there. ``accept_shrink`` lets silver take a snapshot that is empty or lost more than a
    fifth of its keys; ``accepted`` partitions are taken however bad they look.
    """

    data_set: str
    layer: Literal["bronze", "silver", "newest"]
    partitions: tuple[str, ...]
    accept_shrink: bool = False
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """Checks of one data set's silver: those ``names`` that the contract gives rise to (see ``compile.checks``).

    They read the given lake ``hours``, None being all of them; of snapshots, the newest.
    """

    data_set: str
    hours: tuple[str, ...] | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Rows of one partition: what came in, and what became of it.

    ``withheld`` rows break no rule, but their load was refused: bronze holds them, silver and quarantine do not. Of the
    ``quarantined``, ``conflicts`` are copies that say something else than the row that counts.
    """

    rows_in: int
    rows_out: int
    duplicates: int = 0
    quarantined: int = 0
    rescued: int = 0
    withheld: int = 0
    conflicts: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every row that came in is accounted for."""
        return self.rows_in == self.rows_out + self.duplicates + self.quarantined + self.withheld


@dataclass(frozen=True)
class StepResult:
    """What a step did: the table's version and size after it, and the rows by partition.

    ``reasons`` counts quarantined rows by reason; a row with two reasons counts in both. ``rewritten`` are the
    partitions that the step made again beyond those it was asked for; ``counts`` has them too. ``withheld`` says, for
    people, why a partition was refused: it is empty in silver, whatever it held. ``extra`` is what only this engine has
    to say of the step, such as where it ran and what that cost.
    """

    table: str
    version: int
    table_rows: int
    table_bytes: int
    counts: dict[str, Counts] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    rewritten: tuple[str, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str | float] = field(default_factory=dict)


def in_all(results: Sequence[StepResult]) -> StepResult:
    """The result of a step that was done in pieces, one after the other: the table is as the last one left it."""
    reasons = sum((Counter(result.reasons) for result in results), Counter[str]())
    counts = {partition: count for result in results for partition, count in result.counts.items()}
    withheld = {partition: why for result in results for partition, why in result.withheld.items()}
    return replace(
        results[-1],
        counts=dict(sorted(counts.items())),
        reasons=dict(sorted(reasons.items())),
        withheld=dict(sorted(withheld.items())),
    )


class Engine(Protocol):
    """Runs steps; the same step gives the same table on every engine."""

    name: str

    def run(self, step: Step) -> StepResult:
        """Runs ``step`` and says what it did."""
        ...

    def check(self, check: Check) -> dict[str, dict[str, int]]:
        """How many rows break each of the named checks, by partition; one without any is left out."""
        ...


def noted(contract: Contract) -> str:
    """The contract as a table's commits note it."""
    return json.dumps({"name": contract.name, "version": contract.version, "fingerprint": fingerprint(contract)})
