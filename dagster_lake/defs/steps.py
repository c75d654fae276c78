"""What steps of the lake have in common: a failure that may pass is tried again, and what is unfinished is noted."""

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import dagster as dg
from pydantic import ValidationError

from dagster_lake.contract.model import Contract, ContractError
from dagster_lake.defs.conditions import MAKES_GOLD, MAKES_STREAMS
from dagster_lake.engines.made import tables_made
from dagster_lake.landing.result import LandingError
from dagster_lake.privacy.masking_keys import MaskingKeyError
from dagster_lake.settings.lake import Settings
from dagster_lake.storage import unfinished
from dagster_lake.storage.adls.options import AzureSettingsError
from dagster_lake.storage.adls.path import AddressError
from dagster_lake.storage.damage import TableDamaged
from dagster_lake.storage.delta.write import DeltaWriteError, LostToOthers
from dagster_lake.storage.first_hour import FirstHourError
from dagster_lake.storage.manifest import ManifestError, ManifestReplaced
from dagster_lake.storage.paths import Lake, LakeFormatError

MOST_RETRIES = 3
_REFUSALS = (
    *(ContractError, LandingError, MaskingKeyError, AddressError, AzureSettingsError, DeltaWriteError),
    *(FirstHourError, ManifestError, TableDamaged, LakeFormatError, ValidationError, dg.Failure, dg.RetryRequested),
    *(AssertionError, TypeError, NameError, AttributeError),
)
"""What will be the same the next time: data, contracts, settings, and mistakes of ours."""
_PASSING = (ManifestReplaced, LostToOthers)
_REFUSED_SQL = re.compile(
    r"(Compilation|Parser|Parsing|Binder|Catalog|Conversion|Constraint|Invalid Input|Out of Range) Error|"
    r"PARSE_SYNTAX_ERROR|UNRESOLVED_|CAST_INVALID_INPUT|differs from the columns|does not parse|did not run|"
    r"Got \d+ results?, configured to"
)
"""What dbt says of a model that is wrong or of a test that found something, rather than of a table that cannot be
reached."""
_Step = TypeVar("_Step", bound=Callable[..., Iterator[Any]])


def tried_again(step: _Step) -> _Step:
    """Has a step that failed run again, as every step may: after 4, 8 and 16 s, unless the settings say otherwise.

    A refusal is left as it is. So is the last failure.
    """

    @functools.wraps(step)
    def attempt(*arguments: Any, **named: Any) -> Iterator[Any]:
        context = inspect.signature(step).bind(*arguments, **named).arguments["context"]
        made = getattr(context, "retry_number", MOST_RETRIES)
        try:
            yield from step(*arguments, **named)
        except Exception as error:
            if made >= MOST_RETRIES or not may_pass(error):
                raise
            pause = Settings().retry_seconds * 2**made
            context.log.warning(f"failed, and is tried again after {pause:g} s: {type(error).__name__}: {error}")
            raise dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=pause) from error

    return attempt  # type: ignore[return-value]


def may_pass(error: Exception) -> bool:
    """Whether the same step may do better the next time."""
    from dagster_lake.dbt_runner.manifest import DbtRunError

    if isinstance(error, DbtRunError):
        return not _REFUSED_SQL.search(str(error))
    return isinstance(error, _PASSING) or not isinstance(error, _REFUSALS)


def silver_made(context: dg.AssetExecutionContext, lake: Lake, contract: Contract, hours: Collection[str]) -> None:
    """Notes that these hours of a data set are finished, and, in a run that goes on to them, that streams and gold of
    theirs are not."""
    if contract.cadence != "hourly":
        return
    tags: Mapping[str, str] = getattr(getattr(context, "run", None), "tags", {})
    for tag, what in ((MAKES_STREAMS, unfinished.STREAMS), (MAKES_GOLD, unfinished.GOLD)):
        if tag in tags:
            unfinished.begin(lake, what, hours)
    tables_made(lake, contract, hours)
