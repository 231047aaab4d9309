"""Signed notes as C2SP describes them (c2sp.org/signed-note): text, a blank line, one line for every signature.

    line = "— " name " " base64(key id 4 | signature), key id = SHA-256(name "\\n" type 1 | public key)[:4]

Made and verified here are Ed25519 signatures of logs (type 1) and the timestamped Ed25519 cosignatures of witnesses
(type 4, c2sp.org/tlog-cosignature); the lines of other keys are kept and ignored, as they must be.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTE_MAX_BYTES: Final = 1_000_000
SIGNATURES_MAX: Final = 100
KEY_MAX_CHARS: Final = 1_000
ED25519: Final = 1
"""Type of the keys that logs sign with."""
COSIGNATURE: Final = 4
"""Type of the keys that witnesses cosign with: the signature begins with a time."""
TIME_MAX_S: Final = 2**63 - 1
_time: Final = struct.Struct(">Q")
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_KEY_ID_BYTES: Final = 4
_LINE_START: Final = "— "
_PRIVATE: Final = ("PRIVATE", "KEY")
_KINDS: Final = {ED25519: "notes", COSIGNATURE: "witnesses"}
_FORM: Final = "NAME+HASH+BASE64, e.g. example.com/log+530d903a+Aekye…"


class NoteError(Exception):
    """A note or a key that cannot be trusted or not be read; the message says why."""


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line: the key's name and id, and what follows the id."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line, with its newline."""
        return f"{_LINE_START}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


class Note(msgspec.Struct, frozen=True):
    """Text, which ends in a newline, and who signed it; nothing of it has been verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> str:
        """Return the signed note."""
        return "".join((self.text, "\n", *(signature.line() for signature in self.signatures)))


class VerifierKey(msgspec.Struct, frozen=True):
    """The public half of an Ed25519 key, with the name that it signs under; `kind` is ED25519 or COSIGNATURE."""

    name: str
    public_key: bytes
    kind: int = ED25519

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name the key in a signature line."""
        return _key_id(self.name, bytes([self.kind]) + self.public_key)

    def text(self) -> str:
        """Return the key as C2SP writes verifier keys."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(bytes([self.kind]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str, kind: int = ED25519) -> Self:
        """Return the key of type `kind` in `text`. Raises NoteError when there is none."""
        return cls(*_parse_key(text, "verifier key", kind), kind)._checked(text)

    def _checked(self, text: str) -> Self:
        if text.split("+", 2)[1] != self.key_id.hex():
            raise NoteError(f"the verifier key {text[:80]!r} names another key than it holds: a part of it was changed")
        return self

    def verify(self, text: str, signature: bytes) -> None:
        """Raise NoteError when `signature` is not this key's over `text`."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            at_s = cosigned_at_s(signature)
            signature, message = signature[_time.size :], cosigned_message(text, at_s)
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise NoteError(f"the signature of {self.name} is not valid: text or signature was changed") from None


class SigningKey:
    """An Ed25519 key and the name that it signs under; `kind` is ED25519 or COSIGNATURE."""

    def __init__(self, name: str, seed: bytes, kind: int = ED25519) -> None:
        check_key_name(name)
        assert len(seed) == _KEY_BYTES, f"a seed of {len(seed)} bytes"
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw(), kind)

    @property
    def name(self) -> str:
        """The name that it signs under."""
        return self.verifier.name

    def text(self) -> str:
        """Return the key, which is a secret, as Go's note package writes private keys."""
        secret = _encode(bytes([self.verifier.kind]) + self._seed)
        return "+".join((*_PRIVATE, self.name, self.verifier.key_id.hex(), secret))

    @classmethod
    def parse(cls, text: str, kind: int = ED25519) -> Self:
        """Return the key of type `kind` in `text`. Raises NoteError, which quotes nothing of it, when there is none."""
        parts = text.split("+", 2)
        if tuple(parts[:2]) != _PRIVATE or len(parts) != 3:
            raise NoteError("this is no private key: expected PRIVATE+KEY+NAME+HASH+BASE64")
        name, seed = _parse_key(parts[2], "private key", kind)
        key = cls(name, seed, kind)
        if key.text() != text:
            raise NoteError("the private key names another key than it holds: a part of it was changed")
        return key

    def sign(self, text: str) -> NoteSignature:
        """Return this key's signature of `text`, as a log signs."""
        assert self.verifier.kind == ED25519, "a witness says when it signs"
        return NoteSignature(self.name, self.verifier.key_id, self._key.sign(text.encode()))

    def cosign(self, text: str, at_s: int) -> NoteSignature:
        """Return this key's cosignature of `text` at `at_s`, in seconds since 1970, as a witness signs."""
        assert self.verifier.kind == COSIGNATURE and 0 <= at_s <= TIME_MAX_S, "a witness, and a time"
        signature = _time.pack(at_s) + self._key.sign(cosigned_message(text, at_s))
        return NoteSignature(self.name, self.verifier.key_id, signature)


def cosigned_message(text: str, at_s: int) -> bytes:
    """Return what a witness signs of a checkpoint's text (c2sp.org/tlog-cosignature, Ed25519 signed message)."""
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def cosigned_at_s(signature: bytes) -> int:
    """Return the time in a cosignature, in seconds since 1970. Raises NoteError when there is none."""
    at_s = int(_time.unpack_from(signature)[0]) if len(signature) == _time.size + _SIGNATURE_BYTES else -1
    if not 0 <= at_s <= TIME_MAX_S:
        raise NoteError("a cosignature is a time of 8 bytes and a signature of 64")
    return at_s


def sign_note(text: str, keys: Sequence[SigningKey]) -> Note:
    """Return `text` signed with each of `keys`. Raises NoteError when it cannot be the text of a note."""
    check_text(text)
    return Note(text, tuple(key.sign(text) for key in keys))


def parse_note(raw: bytes) -> Note:
    """Return the note in `raw`, unverified. Raises NoteError when there is none."""
    if len(raw) > NOTE_MAX_BYTES:
        raise NoteError(f"a note of {len(raw)} bytes: at most {NOTE_MAX_BYTES} are read")
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteError("no signed note: expected text, a blank line, and a line for every signature")
    check_text(f"{text}\n")
    signature_lines = lines[:-1].split("\n")
    if len(signature_lines) > SIGNATURES_MAX:
        raise NoteError(f"the note has {len(signature_lines)} signatures: at most {SIGNATURES_MAX} are read")
    return Note(f"{text}\n", tuple(map(_parse_line, signature_lines)))


def open_note(raw: bytes, keys: Iterable[VerifierKey]) -> Note:
    """Return the note in `raw` with the signatures that `keys` verify, at least one.

    Raises NoteError when there is no note, none of `keys` has signed it, or a signature of one of them is wrong.
    """
    note = parse_note(raw)
    known = {(key.name, key.key_id): key for key in keys}
    verified: list[NoteSignature] = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            key.verify(note.text, signature.signature)
            verified.append(signature)
    if not verified:
        signers = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in note.signatures[:4])
        wanted = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known)
        raise NoteError(f"the note is signed by {signers[:300]}, not by a key that is trusted here ({wanted[:300]})")
    return Note(note.text, tuple(verified))


def check_text(text: str) -> None:
    """Raise NoteError when `text` cannot be the text of a note."""
    if not text.endswith("\n"):
        raise NoteError("the text of a note ends in a newline")
    if any(character < " " and character != "\n" for character in text):
        raise NoteError("the text of a note has no control characters but newlines")


def check_key_name(name: str) -> None:
    """Raise NoteError when no key can have that name."""
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise NoteError(f"a key cannot be named {name[:80]!r}: expected some characters without spaces and +")


def _parse_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or not space:
        raise NoteError(f"{line[:80]!r} is no signature line: expected '— NAME BASE64'")
    check_key_name(name)
    body = _decode(encoded, f"the signature of {name}")
    if len(body) <= _KEY_ID_BYTES:
        raise NoteError(f"the signature of {name} is too short")
    return NoteSignature(name, body[:_KEY_ID_BYTES], body[_KEY_ID_BYTES:])


def _parse_key(text: str, what: str, kind: int) -> tuple[str, bytes]:
    """Return name and 32 key bytes of NAME+HASH+BASE64; whether the hash is right is for the caller to check."""
    parts = text.split("+", 2) if len(text) <= KEY_MAX_CHARS else []
    if len(parts) != 3:
        raise NoteError(f"this is no {what}: expected {_FORM}")
    name, _, encoded = parts
    check_key_name(name)
    body = _decode(encoded, f"the {what} of {name}")
    if body[:1] != bytes([kind]):
        raise NoteError(f"the {what} of {name} is no Ed25519 key of {_KINDS[kind]}: only these are known here")
    if len(body) != 1 + _KEY_BYTES:
        raise NoteError(f"the {what} of {name} has {len(body) - 1} bytes: expected {_KEY_BYTES}")
    return name, body[1:]


def _key_id(name: str, typed_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + typed_key).digest()[:_KEY_ID_BYTES]


def _encode(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _decode(encoded: str, what: str) -> bytes:
    """Return the bytes of standard base64; of several spellings of the same bytes only the usual one is taken."""
    try:
        body = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is no base64") from None
    if _encode(body) != encoded:
        raise NoteError(f"{what} is no base64 as it is usually written")
    return body
