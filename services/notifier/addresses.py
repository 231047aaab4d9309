"""Where members can be reached: the one place with personal data, outside of the log, readable by its owner only."""

import re
import sqlite3
from pathlib import Path
from typing import Final

from events.ids import is_name
from services.bus.sqlite_errors import SQLITE_ERRORS, told_by_sqlite
from services.notifier.dispatch.database import DIRECTORY_MODE, FILE_MODE, LOCK_TIMEOUT_S, OutboxError

ADDRESS_MAX_CHARS: Final = 254
EMAIL: Final = "email"
WECHAT: Final = "wechat"
KINDS: Final = (EMAIL, WECHAT)
# The form that every mail server takes; quoted local parts and comments exist in standards only.
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
).fullmatch
_OPENID: Final = re.compile(r"[A-Za-z0-9_-]{20,64}").fullmatch


class BadAddress(ValueError):
    """An address that cannot be one; the message says what was expected, and does not repeat the address."""


def check_address(kind: str, address: str) -> None:
    """Refuse what cannot be an address of that kind. Raises BadAddress."""
    if kind not in KINDS:
        raise BadAddress(f"there is no channel {kind[:40]!r} with addresses: expected one of {', '.join(KINDS)}")
    if any(ord(character) < 32 or ord(character) == 127 for character in address):
        raise BadAddress("the address holds a line break or another control character: headers could be injected")
    if kind == EMAIL and (len(address) > ADDRESS_MAX_CHARS or _EMAIL(address) is None):
        raise BadAddress("this is no e-mail address: expected name@host.domain in ASCII, at most 254 characters")
    if kind == WECHAT and _OPENID(address) is None:
        raise BadAddress("this is no openid: expected 20 to 64 of A-Z a-z 0-9 _ -")


def address_file(data_dir: Path, market: str) -> Path:
    """Return the file of a market's address book under a stack's data directory."""
    return data_dir / "notifier" / f"addresses-{market}.sqlite"


class AddressBook:
    """Members' addresses by channel. Every call blocks; one thread at a time."""

    def __init__(self, file: Path) -> None:
        """Open the book, making it when it is not there. Raises OutboxError."""
        try:
            file.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            file.touch(FILE_MODE)
            file.chmod(FILE_MODE)
            self._connection = sqlite3.connect(
                file, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS addresses "
                "(member TEXT, kind TEXT, address TEXT NOT NULL, PRIMARY KEY (member, kind)) WITHOUT ROWID"
            )
        except (OSError, *SQLITE_ERRORS) as error:
            raise OutboxError(f"the address book {file} cannot be opened: {told_by_sqlite(error)}") from None

    def get(self, member: str, kind: str) -> str | None:
        """Return a member's address, None when none is known."""
        row = self._connection.execute(
            "SELECT address FROM addresses WHERE member = ? AND kind = ?", (member, kind)
        ).fetchone()
        return None if row is None else str(row[0])

    def set(self, member: str, kind: str, address: str) -> None:
        """Note an address in place of the one before. Raises BadAddress."""
        if not is_name(member):
            raise BadAddress(f"{member[:64]!r} is no member: expected 1 to 64 of A-Z a-z 0-9 _ -")
        check_address(kind, address)
        self._connection.execute(
            "INSERT INTO addresses VALUES (?, ?, ?) "
            "ON CONFLICT (member, kind) DO UPDATE SET address = excluded.address",
            (member, kind, address),
        )

    def remove(self, member: str, kind: str | None = None) -> int:
        """Forget a member's address of a kind, or with None all; return how many there were."""
        return self._connection.execute(
            "DELETE FROM addresses WHERE member = ? AND (kind = ? OR ? IS NULL)", (member, kind, kind)
        ).rowcount

    def count(self) -> dict[str, int]:
        """Return how many addresses are known, by kind."""
        rows = self._connection.execute("SELECT kind, count(*) FROM addresses GROUP BY kind")
        return {str(kind): int(count) for kind, count in rows}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
