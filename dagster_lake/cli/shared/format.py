"""The forms in which a command prints rows."""

from enum import StrEnum


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
