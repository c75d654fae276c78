"""Takes secrets out of a text by how they are written, so that none gets into an error, a log or a table.

What is written like nothing known, such as a webhook's address, is masked by its value: see
``operations.telemetry.secret_values``.
"""

import re
from collections.abc import Iterator

MASK = "***"
_END = r"[^;&,\s'\"<>\\)]+"
_WRITTEN = re.compile(
    rf"((?:SharedAccessKey|AccountKey|SharedAccessSignature)\s*=\s*)[^;,\s'\"<>\\)]+"
    rf"|(\bsig(?:=|%3D)){_END}"
    rf"|(\b(?:password|passwd|pwd|api_?key|access_token|client_secret)=){_END}"
    r"|(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=%-]{20,}"
    r"|(://[^/\s:@'\"]*:)[^\s'\"]+(?=@)",  # a password may hold what an address would quote
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """``text`` without signatures, keys and passwords in addresses and connection strings, and without tokens."""
    return _WRITTEN.sub(lambda found: next(filter(None, found.groups())) + MASK, text)


def scrub(error: BaseException) -> None:
    """Takes secrets out of what ``error``, and every error that it came from, says; their types stay."""
    for one in _chain(error):
        one.args = tuple(without_secrets(part) if isinstance(part, str) else part for part in one.args)
        if isinstance(one, OSError):  # says what it was made of, whatever its arguments became
            for name in ("strerror", "filename", "filename2"):
                if isinstance(part := getattr(one, name), str):
                    setattr(one, name, without_secrets(part))
        for name, value in list(vars(one).items()):
            if isinstance(value, str):  # what the libraries' own __str__ goes by: message, reason, statement
                setattr(one, name, without_secrets(value))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
