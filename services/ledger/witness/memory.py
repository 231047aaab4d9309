"""What a witness remembers: the last checkpoint it cosigned of each log, and its alarms; a small file for each.

Files are written whole or not at all and are on the disk before anybody is answered.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from events.undecodable import UNDECODABLE
from services.ledger.faults import LedgerError

STATE_MAX_BYTES: Final = 1_000_000
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks against a log: the checkpoint that was seen beside the one that had been cosigned.

    `proven`: both are signed by the log and cannot both be true, so the file alone convicts it. Otherwise somebody
    presented a signed checkpoint that does not go on from what was cosigned, and it may yet turn out to be harmless.
    """

    origin: str
    proven: bool
    sentence: str
    at_s: int
    seen: str
    kept: str


class WitnessMemory:
    """The files of one witness under a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"the witness cannot use {directory}: {error.strerror}; choose another") from None

    def checkpoint(self, origin: str) -> bytes | None:
        """Return the note of the last checkpoint that was cosigned, None before the first."""
        return self._read(self._checkpoint_file(origin))

    def keep_checkpoint(self, origin: str, note: str) -> None:
        """Remember a checkpoint in place of the one before."""
        self._write(self._checkpoint_file(origin), note.encode())

    def alarm(self, origin: str) -> Alarm | None:
        """Return what speaks against a log."""
        raw = self._read(self.alarm_file(origin))
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=Alarm)
        except UNDECODABLE as error:
            raise LedgerError(f"the alarm {self.alarm_file(origin)} is damaged: {error}; look into it") from None

    def raise_alarm(self, alarm: Alarm) -> None:
        """Keep an alarm; one that is proven is never replaced: it is evidence."""
        known = self.alarm(alarm.origin)
        if known is None or (alarm.proven and not known.proven):
            encoded = msgspec.json.format(msgspec.json.encode(alarm), indent=2)
            self._write(self.alarm_file(alarm.origin), encoded)

    def withdraw_suspicion(self, origin: str) -> bool:
        """Forget an alarm that was not proven, now that the log went on from what was cosigned."""
        known = self.alarm(origin)
        if known is None or known.proven:
            return False
        self.alarm_file(origin).unlink(missing_ok=True)
        return True

    def alarm_file(self, origin: str) -> Path:
        """Return where the alarm about a log is kept."""
        return self.directory / f"{_stem(origin)}.alarm.json"

    def _checkpoint_file(self, origin: str) -> Path:
        return self.directory / f"{_stem(origin)}.checkpoint"

    def _read(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                return file.read(STATE_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerError(f"the witness cannot read {path}: {error.strerror}") from None

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(self.directory)
        except OSError as error:
            raise LedgerError(f"the witness cannot write {path}: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def _stem(origin: str) -> str:
    """Return a file name for an origin, which may hold any character."""
    return hashlib.sha256(origin.encode()).hexdigest()[:32]


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
