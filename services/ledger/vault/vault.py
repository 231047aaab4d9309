"""Texts and files of members beside the ledger, in a database of their own that no copy of the ledger contains.

Every owner has a data key, wrapped with the vault's key; every text is encrypted with its owner's data key
(AES-256-GCM, NIST SP 800-38D). Who is erased loses the wrapped key and every ciphertext: what an older copy of the
database still holds of them is read only with a copy of both. The log keeps commitments, SHA-256 over a salt of 32
random bytes and the content, which say nothing once salt and content are gone.
"""

import contextlib
import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.ids import is_name
from services.bus.sqlite_errors import SQLITE_ERRORS, told_by_sqlite
from services.ledger.faults import BadQuestion, LedgerBroken, LedgerError, NotFound

CONTENT_MAX_BYTES: Final = 32 * 1024 * 1024
KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FILE_MODE: Final = 0o600
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, wrapped_key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (
    commitment TEXT PRIMARY KEY, owner TEXT NOT NULL, at_ns INTEGER NOT NULL, sealed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS texts_by_owner ON texts (owner);
CREATE TABLE IF NOT EXISTS erased_texts (
    commitment TEXT PRIMARY KEY, owner TEXT NOT NULL, at_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (
    owner TEXT PRIMARY KEY, asked_ns INTEGER NOT NULL, done_ns INTEGER, waits_for TEXT NOT NULL
) WITHOUT ROWID;
"""


class StoredText(msgspec.Struct, frozen=True):
    """A text or file as it was put in."""

    owner: str
    salt: bytes
    content: bytes


class Erased(NotFound):
    """What was asked for has been erased; `at_ns` says when."""

    def __init__(self, commitment: str, owner: str, at_ns: int) -> None:
        super().__init__(f"{commitment} was erased with everything else of {owner}")
        self.owner = owner
        self.at_ns = at_ns


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """That a member asked to be erased: done, or what it waits for."""

    member: str
    asked_ns: int
    done_ns: int | None
    waits_for: list[str]


def vault_file(data_dir: Path, market: str) -> Path:
    """Return the vault's database under a stack's data directory: not in the ledger's folder, nor in its backups."""
    return data_dir / "vault" / f"vault-{market}.sqlite"


def vault_key_file(data_dir: Path, market: str) -> Path:
    """Return where the key is that the owners' keys are wrapped with."""
    return data_dir / "keys" / f"vault-{market}.key"


class Vault:
    """One market's vault. Every call blocks."""

    def __init__(self, path: Path, key: bytes) -> None:
        assert len(key) == KEY_BYTES, f"a vault key of {len(key)} bytes"
        self._key = AESGCM(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=_FILE_MODE, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            # Rows that are deleted are overwritten, and no log beside the database keeps older pages.
            for pragma in ("secure_delete = ON", "journal_mode = DELETE", "synchronous = FULL"):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript(_CREATE)
        except (OSError, *SQLITE_ERRORS) as error:
            raise LedgerError(f"the vault {path} cannot be opened: {told_by_sqlite(error)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def put(self, owner: str, content: bytes, at_ns: int) -> str:
        """Keep a text or file of `owner` and return the commitment that an event may carry.

        Raises BadQuestion for a name or a content that cannot be kept, and for an owner who has been erased.
        """
        if not is_name(owner):
            raise BadQuestion(f"{owner[:80]!r} cannot own a text: expected 1 to 64 of A-Z a-z 0-9 _ -")
        if len(content) > CONTENT_MAX_BYTES:
            raise BadQuestion(f"the content has {len(content)} bytes: at most {CONTENT_MAX_BYTES} are kept")
        salt = secrets.token_bytes(SALT_BYTES)
        commitment = hashlib.sha256(salt + content).hexdigest()
        with self._transaction():
            erasure = self._erasure(owner)
            if erasure is not None and erasure.done_ns is not None:
                raise BadQuestion(f"{owner} has been erased: nothing of that member is kept any more")
            data_key = self._data_key(owner) or self._new_data_key(owner)
            sealed = _seal(AESGCM(data_key), salt + content, commitment)
            self._database.execute("INSERT INTO texts VALUES (?, ?, ?, ?)", (commitment, owner, at_ns, sealed))
        return commitment

    def get(self, commitment: str) -> StoredText:
        """Return what was put in under a commitment, after checking that it is that.

        Raises Erased when it has been erased, NotFound when it was never here, LedgerBroken when it was changed.
        """
        row = self._one("SELECT owner, sealed FROM texts WHERE commitment = ?", commitment)
        if row is None:
            erased = self._one("SELECT owner, at_ns FROM erased_texts WHERE commitment = ?", commitment)
            if erased is not None:
                raise Erased(commitment, erased[0], erased[1])
            raise NotFound(f"the vault has nothing under {commitment[:80]}")
        owner, sealed = row
        data_key = self._data_key(owner)
        plain = None if data_key is None else _unseal(AESGCM(data_key), sealed, commitment)
        if plain is None or hashlib.sha256(plain).hexdigest() != commitment:
            raise LedgerBroken(
                f"text {commitment}", "what the vault holds is not what was put in, or not with this key"
            )
        return StoredText(owner, plain[:SALT_BYTES], plain[SALT_BYTES:])

    def ask_to_erase(self, member: str, at_ns: int, waits_for: list[str]) -> Erasure:
        """Note that a member asks to be erased, and what that waits for."""
        with self._transaction():
            known = self._erasure(member)
            if known is None or known.done_ns is None:
                asked_ns = at_ns if known is None else known.asked_ns
                self._database.execute(
                    "INSERT OR REPLACE INTO erasures VALUES (?, ?, NULL, ?)", (member, asked_ns, " ".join(waits_for))
                )
        found = self._erasure(member)
        assert found is not None, "it has just been noted"
        return found

    def erase(self, member: str, at_ns: int) -> int:
        """Forget everything of a member who asked for it, and return how many texts that were."""
        with self._transaction():
            texts = self._database.execute("SELECT commitment FROM texts WHERE owner = ?", (member,)).fetchall()
            self._database.executemany(
                "INSERT OR REPLACE INTO erased_texts VALUES (?, ?, ?)", [(row[0], member, at_ns) for row in texts]
            )
            self._database.execute("DELETE FROM texts WHERE owner = ?", (member,))
            self._database.execute("DELETE FROM owners WHERE owner = ?", (member,))
            self._database.execute("UPDATE erasures SET done_ns = ?, waits_for = '' WHERE owner = ?", (at_ns, member))
        self._database.execute("VACUUM")
        return len(texts)

    def erasures(self) -> list[Erasure]:
        """Return every erasure that was asked for, first first."""
        rows = self._database.execute(
            "SELECT owner, asked_ns, done_ns, waits_for FROM erasures ORDER BY asked_ns, owner"
        ).fetchall()
        return [_erasure_of(row) for row in rows]

    def _erasure(self, member: str) -> Erasure | None:
        row = self._one("SELECT owner, asked_ns, done_ns, waits_for FROM erasures WHERE owner = ?", member)
        return None if row is None else _erasure_of(row)

    def _data_key(self, owner: str) -> bytes | None:
        row = self._one("SELECT wrapped_key FROM owners WHERE owner = ?", owner)
        if row is None:
            return None
        data_key = _unseal(self._key, row[0], owner)
        if data_key is None:
            raise LedgerBroken(f"the key of {owner}", "it was changed, or is not wrapped with this vault's key")
        return data_key

    def _new_data_key(self, owner: str) -> bytes:
        data_key = AESGCM.generate_key(8 * KEY_BYTES)
        self._database.execute("INSERT INTO owners VALUES (?, ?)", (owner, _seal(self._key, data_key, owner)))
        return data_key

    def _one(self, statement: str, value: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._database.execute(statement, (value,)).fetchone()
        return row

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise LedgerError(f"the vault does not take it now: {error}") from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _erasure_of(row: tuple[Any, ...]) -> Erasure:
    member, asked_ns, done_ns, waits_for = row
    return Erasure(member=member, asked_ns=asked_ns, done_ns=done_ns, waits_for=waits_for.split())


def _seal(key: AESGCM, plain: bytes, belongs_to: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, belongs_to.encode())


def _unseal(key: AESGCM, sealed: bytes, belongs_to: str) -> bytes | None:
    """Return what was sealed for `belongs_to`, None when it was changed or sealed with another key."""
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], belongs_to.encode())
    except (InvalidTag, ValueError):
        return None
