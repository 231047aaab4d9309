"""The vault's key: made at first use, its owner's alone."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from services.ledger.faults import LedgerError
from services.ledger.vault.vault import KEY_BYTES

_FILE_MODE: Final = 0o600


def ensure_vault_key(path: Path) -> bytes:
    """Return the 32 bytes in hexadecimal in the file at `path`, made now when there are none.

    Raises LedgerError when the key cannot be made or read, or others may read it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise LedgerError(f"the vault's key {path} cannot be made: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(file.fileno())
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise LedgerError(f"the vault's key {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise LedgerError(f"others may read the vault's key {path} (mode {mode:o}): run `chmod 600 {path}`")
    if len(key) != KEY_BYTES:
        raise LedgerError(f"the vault's key {path} has {len(key)} bytes: expected {KEY_BYTES} in hexadecimal")
    return key
