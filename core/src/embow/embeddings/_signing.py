"""A key of the user's own, with which a process marks what a later one may believe."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

FOLDER_VARIABLE = "EMBOW_CONFIG_DIR"
"""Environment variable with the folder of the key, for services without a home."""

_FILE = "signing.key"
_LENGTH = 32


def code(content: bytes, *, create: bool = False) -> str | None:
    """Return the code of some content in hex, ``None`` where there is no key.

    Args:
        content: What is signed.
        create: Whether to make the key where there is none yet.
    """
    folder = config_folder()
    key = _read(folder / _FILE)
    if key is None and create:
        key = _make(folder)
    return None if key is None else hmac.new(key, content, hashlib.sha256).hexdigest()


def is_one_of(content: bytes, codes: Iterable[str]) -> bool:
    """Tell whether one of the codes is the content's, without saying by time how near one was."""
    own = code(content)
    return own is not None and any(
        [hmac.compare_digest(own.encode(), each.encode(errors="replace")) for each in codes]
    )


def config_folder() -> Path:
    """Return the folder of what embow keeps for the user."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_config_path("embow"))


def _read(path: Path) -> bytes | None:
    try:
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == _LENGTH else None


def _make(folder: Path) -> bytes | None:
    """Make the key; of two processes that do so at once both get the one that was first."""
    path = folder / _FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=folder, prefix=_FILE)  # readable by its owner only
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_LENGTH))
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)  # fails where the key is there, and shows it whole
        finally:
            os.unlink(draft)
    except OSError:
        return None  # nothing can be kept here: each process asks
    return _read(path)
