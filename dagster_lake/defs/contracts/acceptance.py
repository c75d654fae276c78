"""Loads that silver withholds: told, noted, and not computed again while raw and the rules are the same.

The silver step goes on without a withheld load, and so does everything after it. That the run fails is left to the
check ``accepted``, a step of its own that nothing waits for.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial

import dagster as dg

from dagster_lake.asset_keys import silver_key
from dagster_lake.contract.model import Contract, contracts
from dagster_lake.defs.hourly_checks import Evaluated, check_of, evaluated
from dagster_lake.defs.partitions import hours_if_any
from dagster_lake.engines.judged import notes_that_hold, raw_read, rules_of
from dagster_lake.engines.step import Step, StepResult
from dagster_lake.lake_resource import LakeResource
from dagster_lake.storage.accepted import accepted_snapshots
from dagster_lake.storage.refusals import Note, notes, remove_note, write_note

CHECK = "accepted"


def run_silver(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    contract: Contract,
    partitions: list[str],
    accept_shrink: bool,
    accept: bool,
) -> StepResult:
    """Runs the silver step of those partitions whose refusal does not stand, and notes what it withheld.

    ``accept`` is for the hours, or the newest snapshot: it was looked at, and is to be taken as it is.
    """
    noted = notes(lake.lake, contract.name)
    asked_again = _asked_again(contract, partitions, accept_shrink, accept)
    held = notes_that_hold(lake.lake, contract)
    standing = {p: n.why for p, n in held.items() if n.why is not None and p in partitions and p not in asked_again}
    accepted = {p for p, note in held.items() if not note.refused} | (asked_again if accept else set())
    for p, why in standing.items():
        context.log.warning(f"{told(contract, p, why)} (as in run {noted[p].run[:8]}; not computed again)")
    tried = [p for p in partitions if p not in standing]
    step = Step(
        contract.name,
        "silver",
        tuple(tried),
        accept_shrink=accept_shrink or accept,
        accepted=tuple(sorted(accepted)),  # later hours that the step makes again are among them
    )
    result = lake.engine.run(step)
    for p in result.counts:
        note = noted.get(p)
        if p in result.withheld:
            why = result.withheld[p]
            context.log.error(told(contract, p, why))
            if not (p in held and note and note.refused):
                write_note(lake.lake, contract.name, p, _note(context, lake, contract, p, why))
        elif accept and p in asked_again:
            write_note(lake.lake, contract.name, p, _note(context, lake, contract, p, None))
        elif note and note.refused:
            remove_note(lake.lake, contract.name, p)
    return replace(result, withheld={**result.withheld, **standing})


def _note(
    context: dg.AssetExecutionContext, lake: LakeResource, contract: Contract, partition: str, why: str | None
) -> Note:
    return Note(raw_read(lake.lake, contract, partition), rules_of(contract), context.run_id, why)


def accepted_checks() -> list[dg.AssetChecksDefinition]:
    """One check a contract, which fails the run that withheld a load first, and warns while it is withheld."""
    return [_check_of(contract) for contract in contracts().values()]


def _check_of(contract: Contract) -> dg.AssetChecksDefinition:
    silver = silver_key(contract)

    @dg.multi_asset_check(
        name=f"{CHECK}__{silver.path[-1]}",
        specs=[
            check_of(
                contract,
                CHECK,
                asset=silver,
                description="No load is withheld: each hour or snapshot has valid rows, and not more bad ones than the "
                f"contract allows ({contract.max_bad_share:.0%}). Nothing waits for this check; it fails the run.",
            )
        ],
    )
    def accepted(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[Evaluated]:
        run = hours_if_any(context)
        noted = {p: n for p, n in notes(lake.lake, contract.name).items() if n.refused}
        if contract.cadence == "snapshot":
            newest = max(accepted_snapshots(lake.lake, contract), default="")
            concerned = {p: n for p, n in noted.items() if p > newest or n.run == context.run.run_id}
        else:
            concerned = {p: n for p, n in noted.items() if run is None or p in run.keys or n.run == context.run.run_id}
        new = {p: n.why or "" for p, n in concerned.items() if n.run == context.run.run_id}
        hours = None if run is None or contract.cadence == "snapshot" else {*run.keys, *concerned}
        yield from evaluated(
            context, dg.AssetCheckKey(silver, CHECK), hours, partial(_judged, contract, concerned, new)
        )
        if new:
            # What the check has said stands; only a step that fails makes the run fail.
            raise dg.Failure(_failure(contract, new), allow_retries=False)

    return accepted


def _judged(
    contract: Contract, withheld: Mapping[str, Note], new: Collection[str], hours: Collection[str] | None
) -> dg.AssetCheckResult:
    of = {p: note for p, note in withheld.items() if hours is None or p in hours}
    of_run = sum(p in new for p in of)
    return dg.AssetCheckResult(
        passed=not of,
        severity=dg.AssetCheckSeverity.ERROR if of_run else dg.AssetCheckSeverity.WARN,
        description="\n".join(told(contract, p, note.why or "") for p, note in of.items()) or None,
        metadata={"withheld": len(of), "of this run": of_run},
    )


def told(contract: Contract, partition: str, why: str) -> str:
    """A withheld load in a line."""
    return f"{silver_key(contract).to_user_string()}: {partition} withheld: {why}"


def _failure(contract: Contract, withheld: Mapping[str, str]) -> str:
    name = silver_key(contract).to_user_string()
    again = "a corrected file is dropped" if contract.cadence == "snapshot" else "its hours are landed anew"
    take = "accept_shrink: true or accept: true" if contract.cadence == "snapshot" else "accept: true"
    tell = ", ".join([contract.owner, *contract.notify])
    return "\n".join(
        [
            *(told(contract, p, why) for p, why in withheld.items()),
            f"{name} holds nothing of that, and all else went on. The rows are in quarantine and bronze. It is tried "
            f"again when {again}, or {contract.file} or dagster_lake changes. To take it as it is, materialise {name} "
            f"with the config {take}. Whom to tell: {tell}.",
        ]
    )


def _asked_again(contract: Contract, partitions: list[str], accept_shrink: bool, accept: bool) -> set[str]:
    """The partitions that a person asks for by the config, whatever was noted of them."""
    if not (accept_shrink or accept):
        return set()
    return set(partitions if contract.cadence == "hourly" else partitions[-1:])
