"""What channels are called: contracts, streams and settings name them alike."""

import re

CHANNEL_NAME = re.compile(r"[A-Za-z0-9#_.-]{1,80}")

DEFAULT_CHANNEL = "default"
"""The channel of what names no other; its address may also be given as ``LAKE_ALERT_WEBHOOK``."""
