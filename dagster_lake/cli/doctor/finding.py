"""One line of `lake doctor`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the checkup; ``remedy`` says what to do unless all is well."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    says: str
    remedy: str = ""
