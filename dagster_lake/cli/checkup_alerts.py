"""The checks of ``lake doctor`` that concern who is told: whether each channel that is named has a usable address."""

from importlib.util import find_spec

from dagster_lake.alerts.channels import addresses, channels_without_address, said_without_address
from dagster_lake.alerts.kinds import AlertKind
from dagster_lake.channel_names import DEFAULT_CHANNEL
from dagster_lake.cli.finding import Finding
from dagster_lake.contract import ContractError
from dagster_lake.settings import Settings

_SUBJECT = "alert channels"


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
    except ContractError:
        return []  # whose own line says so
    if (known or missing) and DEFAULT_CHANNEL not in known:
        says = "there is no default channel, so that nobody hears of a daemon that died"
        found.append(Finding("warn", _SUBJECT, says, "set LAKE_ALERT_WEBHOOK, or `default` in LAKE_ALERT_CHANNELS"))
    messages = [address.channel for address in known.values() if address.shape == "message"]
    if messages and find_spec("apprise") is None:
        says = f"{', '.join(messages)}: the library that writes their messages is not installed"
        found.append(Finding("fail", _SUBJECT, says, "pip install 'dagster-lake[alerts]'"))
    says = ", ".join(known) or "none is set; alerts and failures are in the lake's tables and logs alone"
    return found or [Finding("ok", _SUBJECT, says)]
