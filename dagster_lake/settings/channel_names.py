"""What channels are called: contracts, streams and settings name them alike."""

import re

CHANNEL_NAME = re.compile(r"[A-Za-z0-9#_.-]{1,80}")

HOSTS_OF_SERVICES = re.compile(r"(hooks\.slack(-gov)?\.com|.+\.logic\.azure\.[a-z]+|.+\.(power|apps)platform\..+)")
"""Whose https:// addresses are Slack's and Teams' channels themselves: whoever has one may post there, so that it is a
secret."""

DEFAULT_CHANNEL = "default"
"""The channel of what names no other; its address may also be given as ``LAKE_ALERT_WEBHOOK``."""
