"""The checks of ``lake doctor`` that concern who is told: whether each channel that is named has a usable address."""

from importlib.util import find_spec

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.contract.model import ContractError
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.errors import LakeError
from dagster_lake.settings.channel_names import DEFAULT_CHANNEL
from dagster_lake.settings.lake import Settings
from dagster_lake.streams.alerts.channels import (
    addresses,
    channels_without_address,
    said_without_address,
    unused_addresses,
)
from dagster_lake.streams.alerts.kinds import AlertKind, alert_kinds
from dagster_lake.streams.declarations import stream_declarations

_SUBJECT = "alert channels"


def all_alert_findings(settings: Settings) -> list[Finding]:
    """``alert_findings`` for the streams of the dbt project; where they cannot be read, so much is said."""
    try:
        kinds = alert_kinds(stream_declarations(manifest()).values())
    except LakeError as error:
        unread = Finding("warn", _SUBJECT, f"streams cannot be read: {error}", "mend the dbt project, then look again")
        return [unread, *alert_findings(settings, [])]
    return alert_findings(settings, kinds)


def alert_findings(settings: Settings, kinds: list[AlertKind]) -> list[Finding]:
    """What is missing of the channels; one line that they are in order, or that there are none."""
    known = addresses(settings)
    try:
        missing = channels_without_address(settings, kinds)
        found = [
            Finding(
                "warn", _SUBJECT, line.partition(". Give")[0], "give it one in LAKE_ALERT_CHANNELS (docs/alerts.md)"
            )
            for line in said_without_address(settings, kinds)
        ]
        unused = unused_addresses(settings, kinds)
    except ContractError:
        return []  # whose own line says so
    if unused:
        says = f"{', '.join(unused)}: no contract and no stream names it, so that nothing is ever sent there"
        remedy = (
            "name it in a contract's `support` or a stream's `alert.channels`, or take it out of LAKE_ALERT_CHANNELS"
        )
        found.append(Finding("warn", _SUBJECT, says, remedy))
    if (known or missing) and DEFAULT_CHANNEL not in known:
        says = "there is no default channel, so that nobody hears of a daemon that died"
        found.append(Finding("warn", _SUBJECT, says, "set LAKE_ALERT_WEBHOOK, or `default` in LAKE_ALERT_CHANNELS"))
    messages = [address.channel for address in known.values() if address.shape == "message"]
    if messages and find_spec("apprise") is None:
        says = f"{', '.join(messages)}: the library that writes their messages is not installed"
        found.append(Finding("fail", _SUBJECT, says, "pip install 'dagster-lake[alerts]'"))
    says = ", ".join(known) or "none is set; alerts and failures are in the lake's tables and logs alone"
    return found or [Finding("ok", _SUBJECT, says)]
