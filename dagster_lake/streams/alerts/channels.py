"""Channels: who is told, by name. Contracts and streams name them, settings hold their addresses, which are secrets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from dagster_lake.contract.model import contracts
from dagster_lake.settings.channel_names import DEFAULT_CHANNEL, HOSTS_OF_SERVICES
from dagster_lake.settings.lake import Settings
from dagster_lake.streams.alerts.kinds import AlertKind

Shape = Literal["json", "mail", "message"]


@dataclass(frozen=True)
class Address:
    """Where a channel's deliveries go. ``who`` and ``setting`` name it to people, for ``secret`` must not be told."""

    channel: str
    secret: SecretStr
    who: str = "the webhook"
    setting: str = "LAKE_ALERT_WEBHOOK"

    @property
    def shape(self) -> Shape:
        """``json`` as posted to a webhook, ``mail``, or the ``message`` of a service such as Slack."""
        try:
            parts = urlsplit(self.secret.get_secret_value().strip())
        except ValueError:
            return "json"  # which refuses it, and says why
        if parts.scheme in ("smtp", "smtps"):
            return "mail"
        if self.channel == DEFAULT_CHANNEL and self.setting == "LAKE_ALERT_WEBHOOK":
            return "json"  # as it always was, whoever takes it
        if parts.scheme in ("", "http", "ftp") or (
            parts.scheme == "https" and not HOSTS_OF_SERVICES.fullmatch((parts.hostname or "").lower())
        ):
            return "json"
        return "message"


def addresses(settings: Settings) -> dict[str, Address]:
    """Every channel that has an address, by name."""
    found = {
        name: Address(name, secret, f"channel {name}", f"LAKE_ALERT_CHANNELS: {name}")
        for name, secret in settings.alert_channels.items()
    }
    if settings.alert_webhook is not None:
        found[DEFAULT_CHANNEL] = Address(DEFAULT_CHANNEL, settings.alert_webhook)
    return found


def address_of(known: dict[str, Address], channel: str) -> Address | None:
    """A channel's address; that of the default channel, when it has none of its own."""
    return known.get(channel) or known.get(DEFAULT_CHANNEL)


def route(settings: Settings, data_sets: Iterable[str], own: Iterable[str] = ()) -> tuple[str, ...]:
    """The channels of what concerns these data sets: its ``own`` ones, or those of the contracts, or the default one.

    A contract's channel with ``tool: log`` is one only where settings give it an address.
    """
    known = addresses(settings)
    chosen = sorted({*own}) or sorted(
        {
            channel.name
            for name in data_sets
            if name in contracts()
            for channel in contracts()[name].channels
            if channel.name in known or not channel.logged
        }
    )
    return tuple(chosen) or (DEFAULT_CHANNEL,)


def is_sent(settings: Settings, channels: Iterable[str]) -> bool:
    """Whether what goes to these channels is to be sent: there is an address, or one was asked for and is missing."""
    return bool(addresses(settings)) or any(channel != DEFAULT_CHANNEL for channel in channels)


def channels_without_address(settings: Settings, kinds: Iterable[AlertKind]) -> dict[str, list[str]]:
    """Channels that have no address, and which contracts and streams name them: what is for them goes to the default
    channel, or waits."""
    known = addresses(settings)
    named = [(channel.name, c.file) for c in contracts().values() for channel in c.channels if not channel.logged]
    named += _by_streams(kinds)
    found: dict[str, list[str]] = {}
    for channel, by in named:
        if channel not in known and by not in found.setdefault(channel, []):
            found[channel].append(by)
    return {channel: by for channel, by in sorted(found.items()) if by}


def unused_addresses(settings: Settings, kinds: Iterable[AlertKind]) -> list[str]:
    """Channels that settings give an address and nobody names: nothing is ever sent there. Not the default one."""
    named = {channel.name for c in contracts().values() for channel in c.channels}
    named |= {channel for channel, _ in _by_streams(kinds)}
    return sorted(addresses(settings).keys() - named - {DEFAULT_CHANNEL})


def _by_streams(kinds: Iterable[AlertKind]) -> list[tuple[str, str]]:
    return [(channel, kind.stream) for kind in kinds for channel in kind.channels]


def said_without_address(settings: Settings, kinds: Iterable[AlertKind]) -> list[str]:
    """``channels_without_address`` in words, a line a channel."""
    to = "go to the default channel" if DEFAULT_CHANNEL in addresses(settings) else "wait for one for a day"
    return [
        f"channel {channel}, which {', '.join(by)} name, has no address: its alerts {to}. Give it one in "
        "LAKE_ALERT_CHANNELS (docs/alerts.md)"
        for channel, by in channels_without_address(settings, kinds).items()
    ]
