"""The masking key: where it comes from, and the two pads of HMAC-SHA-256 that SQL gets instead of it."""

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from dagster_lake.privacy.masking_keys import MaskingKeyError, registered, require_registered
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

__all__ = ["MaskingKey", "MaskingKeyError", "configured_key", "masking_key"]

_BLOCK = 64
_SHORTEST = 32


@dataclass(frozen=True, repr=False)
class MaskingKey:
    """A key by its id, as the pads that RFC 2104 derives from it; neither shows in a repr."""

    id: str
    inner_pad: bytes
    outer_pad: bytes

    def __repr__(self) -> str:
        return f"MaskingKey(id={self.id!r})"

    @classmethod
    def of(cls, key_id: str, key: bytes) -> "MaskingKey":
        """The pads of ``key``. Raises MaskingKeyError when it is shorter than 32 bytes or longer than 64."""
        if not _SHORTEST <= len(key) <= _BLOCK:
            raise MaskingKeyError(f"the masking key has {len(key)} bytes; it must have {_SHORTEST} to {_BLOCK}")
        padded = key.ljust(_BLOCK, b"\0")
        return cls(key_id, bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded))


def masking_key(settings: Settings, lake: Lake) -> MaskingKey:
    """The key from ``LAKE_PII_KEY``; without one, a key made once and kept beside the sources, mode 0600.

    That file is for the embedded default only: a remote lake must be given its key. Raises MaskingKeyError for a key
    that is not the lake's, and where the lake's own is lost.
    """
    key = configured_key(settings, lake, make=not registered(lake))
    require_registered(lake, key.id)
    return key


def configured_key(settings: Settings, lake: Lake, *, make: bool) -> MaskingKey:
    """The key that the settings give, or the lake's own, which is made when there is none and ``make`` says so."""
    if settings.pii_key is not None:
        if settings.pii_key_id is None:
            raise MaskingKeyError("LAKE_PII_KEY has no name; set LAKE_PII_KEY_ID, a new one for each new key")
        return MaskingKey.of(settings.pii_key_id, settings.pii_key.get_secret_value().encode())
    if not isinstance(lake.root, Path):
        raise MaskingKeyError(
            "a remote lake needs its masking key: set LAKE_PII_KEY (32 to 64 bytes) and LAKE_PII_KEY_ID"
        )
    path = str(lake.sources / "pii.key")
    if not os.path.exists(path):
        if not make:
            raise MaskingKeyError(
                f"{path} is gone, the key that values in {lake.root} are masked by: values of two keys never join. "
                "Bring it back from a copy; without one, run `lake keys accept`, which makes a new key, and make "
                "silver again (docs/operations.md, Change the masking key)"
            )
        _make(path)
    with open(path, "rb") as handle:
        key = handle.read()
    # Named after itself: a key that was lost and made anew must not pass for the one before.
    return MaskingKey.of(f"local-{hashlib.sha256(key).hexdigest()[:8]}", key)


def _make(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{secrets.token_hex(8)}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(secrets.token_hex(_SHORTEST))
    with contextlib.suppress(FileExistsError):  # the first of two processes wins; both then read the same key
        os.link(temporary, path)
    os.unlink(temporary)
