"""How deep tests look whose examples take long."""

import os
from typing import TypeVar

T = TypeVar("T")


def examples(few: T, many: T) -> T:
    """``few``, or ``many`` when LAKE_TESTS_LONG is set in the environment."""
    return many if os.environ.get("LAKE_TESTS_LONG") else few
