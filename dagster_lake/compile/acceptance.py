"""Whether a load is taken into silver: one of which nothing, or too little, is valid is withheld as a whole.

A load is a partition of one data set: a lake hour or a snapshot. Rows that lost to another payload under the same key
are quarantined too, but say nothing of the load: they are not bad.
"""

from dataclasses import dataclass, field

from dagster_lake.contract.columns import partition_field, position_fields
from dagster_lake.contract.model import Contract

JUDGED_FROM_ROWS = 20
"""Of fewer rows a share says little; they are withheld only when none of them is valid."""
_SHOWN_REASONS = 8


@dataclass(frozen=True)
class Load:
    """The rows of one partition that came in, those of them that break a rule, and how many break which."""

    rows_in: int
    bad: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def bad_rows_select(contract: Contract, relation: str) -> str:
    """The bad rows by partition in ``relation``, rows like quarantine's; the same SQL on every engine."""
    partition, reasons = partition_field(contract).name, "CAST(_reasons AS STRING)"
    only_conflict = f"{reasons} LIKE '[%:conflict]' AND {reasons} NOT LIKE '%,%'"
    return f"SELECT {partition}, count(*) FROM {relation} WHERE NOT ({only_conflict}) GROUP BY 1"


def why_withheld(contract: Contract, load: Load) -> str | None:
    """Why a load is not taken, with the reasons and their counts; None when it is."""
    if not load.bad or (load.bad < load.rows_in and load.rows_in < JUDGED_FROM_ROWS):
        return None
    if load.bad < load.rows_in and load.bad <= contract.max_bad_share * load.rows_in:
        return None
    most_first = sorted(load.reasons.items(), key=lambda each: (-each[1], each[0]))
    told = ", ".join(f"{reason} {count:,}" for reason, count in most_first[:_SHOWN_REASONS])
    more = len(most_first) - _SHOWN_REASONS
    others = f" and {more} other reasons" if more > 0 else ""
    return f"{load.bad:,} of {load.rows_in:,} rows are bad: {told}{others}"


def withheld_select(contract: Contract) -> str:
    """The rows by partition of ``bronze`` that are not in ``quarantined``: of withheld partitions, those withheld."""
    partition = partition_field(contract).name
    place = ", ".join([partition, *(f.name for f in position_fields(contract) if f.name != partition)])
    return f"SELECT {partition}, count(*) FROM bronze ANTI JOIN quarantined USING ({place}) GROUP BY 1"
