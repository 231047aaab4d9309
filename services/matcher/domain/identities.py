"""The memory that tells a retry from a new event: bounded by the replay window and by a stated capacity."""

from hashlib import blake2b
from typing import Any, Final

from events import decisions as d
from events.decision import Decision
from events.member_decisions import InvitationRefused
from events.raw import Unread
from events.reasons import Reason
from events.record import entry_id
from services.matcher.domain.identity_log import CONTENT_BYTES, KEY_BYTES, Answer, Identities
from services.matcher.domain.state import State

_KINDS: Final = tuple(str(kind.__struct_config__.tag) for kind in d.AnyDecision.__args__)
KIND_CODE: Final[dict[type[Decision], int]] = {kind: code for code, kind in enumerate(d.AnyDecision.__args__)}
"""Kinds of decisions by number, as rows name them."""
_REASONS: Final = tuple(Reason)
_REASON_CODE: Final = {reason: code + 1 for code, reason in enumerate(Reason)}
# A tuple: a union would be built anew each time.
REFUSALS: Final = (d.Refused, InvitationRefused)

# A copy of a hash that has begun costs 0.1 µs less than to begin one.
_key_hash: Final = blake2b(digest_size=KEY_BYTES)
_content_hash: Final = blake2b(digest_size=CONTENT_BYTES)

FORGETTABLE: Final = frozenset(
    {Reason.ID_REUSED, Reason.TOO_OLD, Reason.FROM_THE_FUTURE, Reason.CAPACITY}
    | {Reason.MARKET_NOT_CONFIGURED, Reason.WRONG_FAMILY, Reason.PUBLISHER_NOT_ALLOWED, Reason.PERSONAL_DATA}
)
"""Refusals that leave no memory of the event: it may be sent again."""


def identity_key(publisher: str, source: str, event_id: str) -> bytes:
    """Return the 16-byte key of (publisher, source, id); none of the three can hold a line feed."""
    key = begin_key(publisher, source)
    key.update(event_id.encode())
    return key.digest()


def begin_key(publisher: str, source: str) -> blake2b:
    """Return the hash of what the keys of all events of `publisher` and `source` begin with."""
    begun = _key_hash.copy()
    begun.update(f"{publisher}\n{source}\n".encode())
    return begun


def content_digest(raw: bytes) -> bytes:
    """Return what tells other bytes under the same id apart."""
    digest = _content_hash.copy()
    digest.update(raw)
    return digest.digest()


def remember(state: State, known: Identities, key: bytes, raw: Unread, kind: int, reason: Reason | None) -> None:
    """Remember the event at `state.position`, the code of what answered it, and why it was refused."""
    content = _content_hash.copy()
    content.update(raw)
    as_it_is: Any = state  # untyped: compiled code hands on the integers that are there
    position = as_it_is.position
    code = 0 if reason is None else _REASON_CODE[reason]
    known.add(key, content.digest(), as_it_is.now, position[0], position[1], position[2], kind, code)


def recall(remembered: Answer, raw: bytes) -> d.Duplicate | None:
    """Return the duplicate that answers `raw`, or None when its bytes are others than those remembered."""
    content, _, seq, index, part, kind, reason = remembered
    if content != content_digest(raw):
        return None
    return d.Duplicate(
        of=entry_id(seq, index, part), original=_KINDS[kind], reason=_REASONS[reason - 1] if reason else None
    )
