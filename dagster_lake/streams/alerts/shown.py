"""Values of events as people see them: on one line, without control characters, and not too long.

What comes from outside may hold escape codes that a terminal obeys, line ends that forge a line, marks that turn the
direction of writing, or a megabyte of text.
"""

import re
from typing import Any

MOST_CHARACTERS = 500
"""Of a text in a notice or a post."""
_MARGIN = 40
"""Characters more that are not worth a cut; what was cut once is not cut again for what was said of it."""
MOST_SAID = 200
"""Of a text in a line for people."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def shown_text(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text with its control characters written out (``\\x1b``), and its end left out beyond ``most``."""
    written = _CONTROL.sub(lambda found: _written(found[0]), text[: most + _MARGIN])
    return written if len(text) <= most + _MARGIN else f"{written[:most]}... ({len(text):,} characters)"


def shown_value(value: Any, most: int = MOST_CHARACTERS) -> Any:
    """``shown_text`` of every text within a JSON value."""
    match value:
        case str():
            return shown_text(value, most)
        case list():
            return [shown_value(part, most) for part in value]
        case dict():
            return {shown_text(name, most): shown_value(part, most) for name, part in value.items()}
    return value


def details_line(details: dict[str, Any], most: int = MOST_SAID) -> str:
    """The details of an alert for people: ``uri /checkout, latency 4988``."""
    return ", ".join(f"{name} {shown_text(str(value), most)}" for name, value in details.items())


def _written(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
