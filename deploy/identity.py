"""Keys of the broker's users: made at first run, kept for ever, readable by their owner only.

A user is an nkey, an Ed25519 key pair: the broker's configuration holds the public half and the
client signs the broker's nonce, so no password is stored or sent.
"""

import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import nkeys

from deploy.permissions import OPERATOR, RESERVED_USERS, SERVICE_USERS, check_publisher, inbox_prefix
from events.ids import is_name

DEFAULT_PUBLISHERS: Final = ("local",)
KEY_SUFFIX: Final = ".nk"
DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
KEY_FILE_MAX_BYTES: Final = 1_024


class IdentityError(Exception):
    """A key is missing, damaged or readable by others; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One user of the broker: its name, its public key, and where its seed is kept."""

    user: str
    public_key: str
    seed_file: Path

    def seed(self) -> str:
        """Read the seed, which is a secret: hand it to the broker's client and to nothing else."""
        return _read_seed(self.seed_file)


class ConnectOptions(TypedDict):
    """What `nats.connect` needs besides the address."""

    nkeys_seed_str: str
    inbox_prefix: str
    name: str


def keys_directory(data: Path) -> Path:
    """Where the keys are kept under the data directory."""
    return data / "keys"


def ensure_identities(data: Path, publishers: Iterable[str] = DEFAULT_PUBLISHERS) -> dict[str, Identity]:
    """Return every user's identity by name, making the keys that are missing and changing none.

    Publishers that have a key from an earlier run are known for ever, named again or not.
    """
    directory = keys_directory(data)
    _make_private_directory(directory)
    named = list(publishers)
    for publisher in named:
        check_publisher(publisher)
    users = {*SERVICE_USERS, OPERATOR, *named, *known_publishers(data)}
    for user in sorted(users):
        path = _seed_file(data, user)
        if not path.exists():
            _write_new_seed(path)
    return {user: load_identity(data, user) for user in sorted(users)}


def known_publishers(data: Path) -> list[str]:
    """List the ordinary publishers that have a key, by name."""
    directory = keys_directory(data)
    names = (path.name.removesuffix(KEY_SUFFIX) for path in directory.glob(f"*{KEY_SUFFIX}"))
    return sorted(name for name in names if is_name(name) and name not in RESERVED_USERS)


def load_identity(data: Path, user: str) -> Identity:
    """Read one user's identity, refusing a key that others can read or that is not a user's key."""
    path = _seed_file(data, user)
    _refuse_wide_permissions(path.parent, "directory", DIRECTORY_MODE)
    pair = _key_pair(path)
    try:
        public_key: bytes = pair.public_key
    finally:
        pair.wipe()
    return Identity(user, public_key.decode(), path)


def connect_options(data: Path, user: str) -> ConnectOptions:
    """Options for `nats.connect(address, **options)` as `user`, inboxes under its own prefix included."""
    identity = load_identity(data, user)
    return {"nkeys_seed_str": identity.seed(), "inbox_prefix": inbox_prefix(user), "name": f"groupbuy {user}"}


def _seed_file(data: Path, user: str) -> Path:
    return keys_directory(data) / f"{user}{KEY_SUFFIX}"


def _make_private_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise IdentityError(f"cannot make the directory of keys {directory}: {error.strerror}") from error
    _refuse_wide_permissions(directory, "directory", DIRECTORY_MODE)


def _write_new_seed(path: Path) -> None:
    """Write a fresh key so that it appears whole or not at all, and never replaces one.

    A link fails when the name exists, so of two first runs at once one wins and both use its key.
    """
    seed: bytes = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(seed + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(part, path)
            except FileExistsError:
                return
        finally:
            part.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise IdentityError(f"cannot write the key {path}: {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_wide_permissions(path: Path, kind: str, mode: int) -> None:
    try:
        found = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise IdentityError(f"the key {kind} {path} is missing: start groupbuy once to make the keys") from None
    except OSError as error:
        raise IdentityError(f"cannot look at the key {kind} {path}: {error.strerror}") from error
    if found & 0o077:
        raise IdentityError(
            f"the key {kind} {path} can be used by others (mode {found:04o}): run chmod {mode:o} {path}, "
            "and if anyone else may have read a key, delete that key to have a new one made"
        )


def _read_seed(path: Path) -> str:
    _refuse_wide_permissions(path, "file", FILE_MODE)
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_MAX_BYTES)
    except OSError as error:
        raise IdentityError(f"cannot read the key {path}: {error.strerror}") from error
    return content.decode("ascii", errors="replace").strip()


def _key_pair(path: Path) -> nkeys.KeyPair:
    seed = _read_seed(path)
    try:
        prefix, _ = nkeys.decode_seed(seed.encode())
        if prefix != nkeys.PREFIX_BYTE_USER:
            raise ValueError("not a user's seed")
        return nkeys.from_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError) as error:
        raise IdentityError(
            f"the key {path} is damaged: it does not hold the seed of a user's nkey; "
            "restore it, or delete it to have a new one made"
        ) from error
