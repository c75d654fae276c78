"""What to say of a SQLite file that is damaged: which file, and what to do."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy.exc

TO_DO = "bring it back from a copy, or rescue it with sqlite3's .recover; what has landed is in raw"
_SIGNS = ("file is not a database", "database disk image is malformed")


def is_damage(error: Exception) -> bool:
    """Whether a driver's error, of whatever driver, says that SQLite cannot read its file."""
    return any(sign in str(error) for sign in _SIGNS)


@contextmanager
def naming(file: Path, error: Callable[[str], Exception], to_do: str = TO_DO) -> Iterator[None]:
    """Turns SQLite's word of damage into an ``error`` that names the file and says what ``to_do``."""
    try:
        yield
    except (sqlite3.DatabaseError, sqlalchemy.exc.DatabaseError) as cause:
        if not is_damage(cause):
            raise
        raise error(f"{file} is damaged ({getattr(cause, 'orig', None) or cause}); {to_do}") from cause
