"""Keeps secrets out of what is printed: each known value of one is replaced."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, unquote, urlsplit

from dagster_lake.settings.secret_text import MASK, without_secrets

_NAMED_SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|KEY|SAS|CONNECTION|WEBHOOK|CHANNELS)$", re.IGNORECASE)
_KEY_IN_CONNECTION = re.compile(r"(?:SharedAccessKey|AccountKey|SharedAccessSignature)=([^;]+)")
_SHORTEST = 8
"""A shorter value is likely to be part of ordinary words."""


def masker(environment: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """A function that replaces every secret of the environment and of ``.env`` in a line by ``***``.

    Secrets are the lake's own secret settings, what variables hold whose names end in PASSWORD, SECRET, TOKEN, KEY,
    SAS, CONNECTION, WEBHOOK or CHANNELS, and passwords in URLs; each as it is, quoted for a URL, and as JSON writes it.
    They are looked for once, when the function is made. What is written like a secret goes whoever knows it.
    """
    values = {
        spelling
        for secret in _secrets(os.environ if environment is None else environment)
        if len(secret) >= _SHORTEST
        for spelling in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
    }
    if not values:
        return without_secrets
    # The longest first: a key is masked whole where another secret is a part of it.
    any_secret = re.compile("|".join(re.escape(value) for value in sorted(values, key=len, reverse=True)))
    return lambda line: without_secrets(any_secret.sub(MASK, line))


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in [*environment.items(), *_own_settings()]:
        if _NAMED_SECRET.search(name):
            yield value
            yield from _KEY_IN_CONNECTION.findall(value)
        if (password := _password(value)) is not None:
            yield password


def _own_settings() -> Iterator[tuple[str, str]]:
    """The settings of the lake that are text, as ``.env`` may hold them; none when a setting is wrong, which is told
    elsewhere."""
    from pydantic import SecretStr, ValidationError

    from dagster_lake.settings.lake import Settings

    try:
        settings = Settings()
    except ValidationError:
        return
    for name, value in settings:
        if isinstance(value, SecretStr):
            yield f"{name}_secret", value.get_secret_value()
        elif isinstance(value, dict):  # addresses of channels
            yield from ((f"{part}_secret", one.get_secret_value()) for part, one in value.items())
        elif isinstance(value, str):
            yield name, value


def _password(value: str) -> str | None:
    if "://" not in value or "@" not in value:
        return None
    try:
        found = urlsplit(value).password
    except ValueError:
        return None
    return None if found is None else unquote(found)
