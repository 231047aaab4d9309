"""Bearer tokens of the HTTP door: a file of SHA-256 hashes, so that who reads it cannot use it."""

import hashlib
import time
from pathlib import Path
from typing import Final

import msgspec

from events.ids import is_name
from events.subjects import GATEWAY, MATCHER
from events.undecodable import UNDECODABLE
from services.bus.config import ConfigError

FILE_MAX_BYTES: Final = 4 * 1024 * 1024
TOKEN_MAX_CHARS: Final = 512
LOOK_AGAIN_S: Final = 1.0
_HASH_CHARS: Final = 64
_NOT_PUBLISHERS: Final = frozenset({GATEWAY, MATCHER, "ledger", "notifier", "provisioner"})


class TokenError(ConfigError):
    """The file of tokens cannot be used; the message says what is wrong with it."""


class Tokens:
    """Which publisher a token stands for; a changed file is read again when an unknown token comes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._looked_at_s = 0.0
        self._publishers: dict[str, str] = {}
        if path is not None:
            self._stamp = _stamp(path)
            self._publishers = read_tokens(path)

    def publisher_of(self, token: str) -> str | None:
        """Return the publisher whose token this is, None when it is nobody's."""
        if len(token) > TOKEN_MAX_CHARS:
            return None
        # Looking up a hash tells nothing about near misses: there is no token to compare with byte by byte.
        digest = hash_token(token)
        publisher = self._publishers.get(digest)
        if publisher is None and self._changed():
            publisher = self._publishers.get(digest)
        return publisher

    def _changed(self) -> bool:
        """Read the file again when it is another one; a file damaged meanwhile leaves the tokens as they are."""
        now_s = time.monotonic()
        if self._path is None or now_s - self._looked_at_s < LOOK_AGAIN_S:
            return False
        self._looked_at_s = now_s
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return False
            self._publishers, self._stamp = read_tokens(self._path), stamp
        except TokenError:
            return False
        return True


def hash_token(token: str) -> str:
    """Return the form in which the file knows a token: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def read_tokens(path: Path) -> dict[str, str]:
    """Return the publisher of each token's hash. Raises TokenError when the file is not of that form."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES)
        found = msgspec.json.decode(content, type=dict[str, str])
    except OSError as error:
        raise TokenError(f"cannot read the tokens {path}: {error.strerror}") from None
    except UNDECODABLE as error:
        raise TokenError(
            f"the tokens {path} are not usable: {error}; expected a JSON object of "
            f'{{"<SHA-256 of a token in hexadecimal>": "<publisher>"}}'
        ) from None
    for digest, publisher in found.items():
        if len(digest) != _HASH_CHARS or not all(char in "0123456789abcdef" for char in digest):
            raise TokenError(
                f"the tokens {path}: {digest[:8]!r}... is not a SHA-256 in lower-case hexadecimal; "
                f"the file holds hashes, never tokens"
            )
        if not is_name(publisher) or publisher in _NOT_PUBLISHERS:
            raise TokenError(f"the tokens {path}: {publisher[:64]!r} is not the name of a publisher")
    return found


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise TokenError(f"cannot read the tokens {path}: {error.strerror}") from None
    return found.st_mtime_ns, found.st_ino
