"""Tokens for the notifier's HTTP port: signed, limited to one member or to the address book, and to a time.

Token: base64url without padding of a JSON object, a dot, base64url of HMAC-SHA256 over `groupbuy-notifier-token-v1\\n`
and the object's bytes. The object: `market`, `scope` (`events` or `addresses`), `member` (for `events`), `until_s`
(seconds since 1970).
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Final, Literal

import msgspec

from events.ids import is_name
from events.undecodable import UNDECODABLE
from services.bus.config import ConfigError
from services.notifier.dispatch.database import DIRECTORY_MODE, FILE_MODE

KEY_BYTES: Final = 32
TOKEN_MAX_CHARS: Final = 1_024
VALID_MAX_S: Final = 366 * 86_400
_PREFIX: Final = b"groupbuy-notifier-token-v1\n"

Scope = Literal["events", "addresses"]


class BadToken(Exception):
    """A token that opens nothing here; the message says why without repeating it."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a token allows, and until when."""

    market: str
    scope: Scope
    member: str | None = None
    until_s: int


_decoder: Final = msgspec.json.Decoder(Claims)


def token_key_file(data_dir: Path) -> Path:
    """Return the file of the key under a stack's data directory."""
    return data_dir / "notifier" / "token.key"


def ensure_token_key(data_dir: Path) -> bytes:
    """Return the key, making it at first use. Raises ConfigError when it cannot be read or made."""
    path = token_key_file(data_dir)
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(KEY_BYTES).encode())
            # A link fails where another process was quicker: then its key is the one.
            try:
                os.link(part, path)
            except FileExistsError:
                pass
            finally:
                part.unlink()
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key of the tokens {path} cannot be used: {error}") from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the key of the tokens {path} has {len(key)} bytes: expected {KEY_BYTES} in hexadecimal")
    return key


def sign_token(key: bytes, claims: Claims) -> str:
    """Return the token of `claims`."""
    if claims.scope == "events" and (claims.member is None or not is_name(claims.member)):
        raise ConfigError(f"{claims.member!r} is no member: expected 1 to 64 of A-Z a-z 0-9 _ -")
    body = msgspec.json.encode(claims)
    return f"{_text(body)}.{_text(_mac(key, body))}"


def check_token(key: bytes, token: str, market: str, scope: Scope, now_s: float, member: str | None = None) -> Claims:
    """Return what a token allows. Raises BadToken unless it allows this here and now."""
    body_text, _, mac_text = token.partition(".")
    if len(token) > TOKEN_MAX_CHARS:
        raise BadToken("this is no token of this service: it is too long")
    try:
        body, mac = _bytes(body_text), _bytes(mac_text)
    except ValueError:
        raise BadToken("this is no token of this service") from None
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise BadToken("this token was not signed here, or was changed")
    try:
        claims = _decoder.decode(body)
    except UNDECODABLE:
        raise BadToken("this token was signed here in another form: ask for a new one") from None
    if claims.market != market or claims.scope != scope:
        raise BadToken(f"this token is for {claims.scope} of market {claims.market}")
    if now_s >= claims.until_s:
        raise BadToken("this token has expired: ask for a new one")
    if claims.member != member:
        raise BadToken("this token is another member's")
    return claims


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _PREFIX + body, "sha256")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("not ASCII")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _text(raw) != text:
        raise ValueError("not canonical")
    return raw
