"""The memory that tells a retry from a new event: bounded by the replay window and by a stated capacity."""

import hashlib
import struct
from typing import Final

from events import decisions as d
from events.member_decisions import InvitationRefused
from events.reasons import Reason
from events.record import entry_id
from services.matcher.domain.state import State

# 31 bytes: with one more, each would take another 16 bytes of memory.
_record: Final = struct.Struct("<7sQQHIBB")
_KINDS: Final = tuple(str(kind.__struct_config__.tag) for kind in d.AnyDecision.__args__)
_KIND_CODE: Final = {kind: code for code, kind in enumerate(d.AnyDecision.__args__)}
_REASONS: Final = tuple(Reason)
_REASON_CODE: Final = {reason: code + 1 for code, reason in enumerate(Reason)}
# A tuple: a union would be built anew each time.
_REFUSALS: Final = (d.Refused, InvitationRefused)

FORGETTABLE: Final = frozenset(
    {Reason.ID_REUSED, Reason.TOO_OLD, Reason.FROM_THE_FUTURE, Reason.CAPACITY}
    | {Reason.MARKET_NOT_CONFIGURED, Reason.WRONG_FAMILY, Reason.PUBLISHER_NOT_ALLOWED, Reason.PERSONAL_DATA}
)
"""Refusals that leave no memory of the event: it may be sent again."""


def identity_key(publisher: str, source: str, event_id: str) -> bytes:
    """Return the 16-byte key of (publisher, source, id); none of the three can hold a line feed."""
    return hashlib.blake2b(f"{publisher}\n{source}\n{event_id}".encode(), digest_size=16).digest()


def content_digest(raw: bytes) -> bytes:
    """Return what tells other bytes under the same id apart."""
    return hashlib.blake2b(raw, digest_size=7).digest()


def remember(state: State, key: bytes, raw: bytes, answer: d.AnyDecision) -> None:
    """Remember the event at `state.position` and the decision that answered it."""
    assert key not in state.identities, "an identity is remembered once"
    reason = answer.reason if isinstance(answer, _REFUSALS) else None
    code = _REASON_CODE[reason] if reason is not None else 0
    seq, index, part = state.position
    state.identities[key] = _record.pack(
        content_digest(raw), state.now, seq, index, part, _KIND_CODE[type(answer)], code
    )
    state.identity_queue.push(key)


def recall(remembered: bytes, raw: bytes) -> d.Duplicate | None:
    """Return the duplicate that answers `raw`, or None when its bytes are others than those remembered."""
    content, _, seq, index, part, kind, reason = _record.unpack(remembered)
    if content != content_digest(raw):
        return None
    return d.Duplicate(
        of=entry_id(seq, index, part), original=_KINDS[kind], reason=_REASONS[reason - 1] if reason else None
    )


def accepted_at_ns(remembered: bytes) -> int:
    """Return when a remembered event was accepted."""
    at_ns: int = _record.unpack(remembered)[1]
    return at_ns
