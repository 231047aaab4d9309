"""The keys that checkpoints are signed and cosigned with: made at first run, never replaced, their owner's alone."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from services.ledger.faults import LedgerError
from services.ledger.note import COSIGNATURE, ED25519, KEY_MAX_CHARS, NoteError, SigningKey, check_key_name

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
_SEED_BYTES: Final = 32
_WHOSE: Final = {ED25519: "log", COSIGNATURE: "witness"}


def log_key_file(data_dir: Path, market: str) -> Path:
    """Return where the key of a market's log is kept under a stack's data directory."""
    return data_dir / "keys" / f"log-{market}.key"


def ensure_log_key(path: Path, name: str) -> SigningKey:
    """Return the key in the file at `path`, made now with the name `name` when there is none.

    Raises LedgerError when it cannot be read or made, others may read it, or it signs under another name.
    """
    try:
        check_key_name(name)
    except NoteError as error:
        raise LedgerError(f"a log cannot have this name: {error}; change `log_host`") from None
    key = _ensure_key(path, name, ED25519)
    if key.name != name:
        raise LedgerError(
            f"the key in {path} signs as {key.name}, but this log is called {name}: set `log_host` back, or, for a "
            "log of another name that nobody has followed yet, move the key away"
        )
    return key


def ensure_witness_key(path: Path, name: str) -> SigningKey:
    """Return the witness's key in the file at `path`, made now with the name `name` when there is none.

    Raises LedgerError when it cannot be read or made, others may read it, or it signs under another name.
    """
    try:
        check_key_name(name)
    except NoteError as error:
        raise LedgerError(f"a witness cannot have this name: {error}") from None
    key = _ensure_key(path, name, COSIGNATURE)
    if key.name != name:
        raise LedgerError(f"the key in {path} signs as {key.name}, not as {name}: a witness keeps its name")
    return key


def _ensure_key(path: Path, name: str, kind: int) -> SigningKey:
    if not path.exists():
        _write_new_key(path, SigningKey(name, secrets.token_bytes(_SEED_BYTES), kind))
    return read_log_key(path, kind)


def read_log_key(path: Path, kind: int = ED25519) -> SigningKey:
    """Return the key in the file at `path`. Raises LedgerError when there is none or others may read it."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(KEY_MAX_CHARS + 1)
    except FileNotFoundError:
        raise LedgerError(f"there is no {_WHOSE[kind]} key at {path}: it is made at the first run") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"the log key {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise LedgerError(f"others may read the log key {path} (mode {mode:o}): run `chmod 600 {path}`")
    try:
        return SigningKey.parse(text.strip(), kind)
    except NoteError as error:
        raise LedgerError(f"the log key {path} is damaged: {error}") from None


def _write_new_key(path: Path, key: SigningKey) -> None:
    """Write a key whole or not at all; whoever writes first wins."""
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        _write_once(path, f"{key.text()}\n".encode())
    except OSError as error:
        raise LedgerError(f"the log key {path} cannot be made: {error.strerror}") from None


def _write_once(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            # Unlike a rename, a link never replaces a key that is there.
            os.link(part, path)
        _sync_directory(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
