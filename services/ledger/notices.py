"""The second archive: what became of messages to members, beside the records, found by member and by entry.

Facts come from the notices stream in order and are archived once each: the place in the stream is the key. What they
say of a decision names its entry, so that a member's story and the reason for a message can be put together.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from events.counted import counted
from events.notice import (
    DEFERRED,
    DELIVERED,
    FAILED,
    SENT,
    SUPPRESSED,
    TOLD,
    NoticeFact,
    decode_fact,
    decode_told,
    encode_fact,
    is_told,
)
from events.times import format_time_ns
from services.ledger.archive import Archive, as_bytes
from services.ledger.history import FoundEntry
from services.ledger.notice_chaining import ROWS_AT_A_TIME
from services.ledger.recorders import Row
from services.ledger.store import LedgerStore
from services.ledger.told import not_won, query_notices, told_of_entry, told_of_member

PAGE: Final = 500
_WHAT: Final = {
    "result": "a result",
    "invitation": "an invitation",
    "reminder": "a reminder",
    "digest": "a digest",
    "operator_alert": "an alert",
}
_REASONS: Final = {
    "quiet_hours": "it was within the member's quiet hours",
    "no_time_zone": "the member's time zone was not known, so quiet hours counted all day",
    "past_usefulness": "it would have come too late to be of use",
    "no_consent": "the member had not agreed to it, or no longer",
    "no_grant": "the member's one-time permission was used up",
    "not_wanted": "the member does not want messages of this kind",
    "blocked": "the member had blocked whoever was behind it",
    "no_address": "no address of the member was known for this channel",
    "try_again": "the other side did not take it",
}


class Arrived(msgspec.Struct, frozen=True):
    """A message of the notices stream: its sequence there, and its bytes."""

    seq: int
    body: bytes


class ShownNotice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One fact as it is archived, and in words; `entry` is what it is about."""

    at: str
    at_ns: int
    entry: str
    sentence: str
    fact: msgspec.Raw


# Archiving.


def archived_through(store: Archive, stream: str) -> int:
    """Return the sequence of the last fact that was archived of a stream of this identity, 0 for none."""
    rows = store.query("SELECT max(seq) FROM @notices WHERE stream = ?", (stream,))
    return int(rows[0][0] or 0)


def archive_notices(store: LedgerStore, stream: str, arrived: Sequence[Arrived]) -> tuple[int, int]:
    """Archive facts and return how many there were, and how many messages were none.

    The caller begins after what `archived_through` says. Every message leaves a row, so that none is read twice; what
    is no fact keeps its place and nothing else.
    """
    rows = [_row(stream, message) for message in arrived]
    for first in range(0, len(rows), ROWS_AT_A_TIME):
        store.put_notices(rows[first : first + ROWS_AT_A_TIME])
    strays = sum(1 for row in rows if row[6] == "")
    return len(rows) - strays, strays


def _row(stream: str, message: Arrived) -> Row:
    try:
        if is_told(message.body):
            return _told_row(stream, message)
        fact = decode_fact(message.body)
    except ValueError:
        return (stream, message.seq, 0, 0, "", "", "", b"")
    data = fact.data
    kind = f"{data.purpose}/{fact.type}"
    return (stream, message.seq, fact.at_ns, data.as_of, data.member, entry_of(fact), kind, message.body)


def _told_row(stream: str, message: Arrived) -> Row:
    """Return the row of a fact about many members: of nobody, and found by the last of its records."""
    data = decode_told(message.body).data
    entry = (data.decision or "").partition("/")[0]
    return (stream, message.seq, data.at_ns, data.as_of, "", entry, f"{data.kind or data.purpose}/{TOLD}", message.body)


def entry_of(fact: NoticeFact) -> str:
    """Return the name of the entry whose decision a notice is about."""
    return fact.data.decision.partition("/")[0]


# Asking.


def notices_of_member(store: LedgerStore, member: str) -> Iterator[ShownNotice]:
    """Yield everything that became of messages to a member, in order of time; by the own subject too."""
    own = (_shown_fact(fact, encode_fact(fact)) for fact in told_of_member(store, member))
    others = _shown(store, "member = ?", (member,))
    yield from sorted([*own, *others], key=lambda notice: notice.at_ns)


def notices_of_entry(store: Archive, entry: str) -> Iterator[ShownNotice]:
    """Yield everything that became of messages about an entry, each about one member, in order of time."""
    return _shown(store, "entry = ? AND member != ''", (entry,))


def facts_to_member(store: LedgerStore, member: str) -> Iterator[tuple[bytes, NoticeFact]]:
    """Yield the facts of notices to a member, in order of time, each as bytes and read.

    The bytes are those archived, but for a fact about many members: of that, what it says of this one.
    """
    for shown_notice in notices_of_member(store, member):
        raw = bytes(shown_notice.fact)
        yield raw, decode_fact(raw)


def sent_invitations(store: Archive) -> Iterator[NoticeFact]:
    """Yield the facts of invitations that were sent, by the record through which choices were known."""
    kinds = tuple(f"invitation/{kind}" for kind in (SENT, DELIVERED))
    after: Row = (-1, "", -1)
    while True:
        rows = query_notices(
            store,
            "SELECT as_of, stream, seq, body FROM @notices WHERE kind IN (?, ?) AND (as_of > ? OR (as_of = ? AND "
            "(stream > ? OR (stream = ? AND seq > ?)))) ORDER BY as_of, stream, seq LIMIT ?",
            (*kinds, after[0], after[0], after[1], after[1], after[2], PAGE),
        )
        for row in rows:
            yield decode_fact(as_bytes(row[3]))
        if len(rows) < PAGE:
            return
        after = rows[-1]


def _shown(store: Archive, where: str, parameters: Row) -> Iterator[ShownNotice]:
    rows = query_notices(store, f"SELECT body FROM @notices WHERE {where} ORDER BY at, seq", parameters)  # noqa: S608
    for (body,) in rows:
        yield shown(as_bytes(body))


def shown(body: bytes) -> ShownNotice:
    """Return an archived fact for showing."""
    return _shown_fact(decode_fact(body), body)


def _shown_fact(fact: NoticeFact, body: bytes) -> ShownNotice:
    return ShownNotice(
        at=format_time_ns(fact.at_ns),
        at_ns=fact.at_ns,
        entry=entry_of(fact),
        sentence=notice_in_words(fact),
        fact=msgspec.Raw(body),
    )


# In words.


def notice_in_words(fact: NoticeFact) -> str:
    """Return what became of a message, and why, in one sentence."""
    data = fact.data
    what = f"{_WHAT.get(data.purpose, 'a message')} ({data.kind}) to {data.member} by {data.channel}"
    if fact.type in (SENT, DELIVERED):
        done = "was delivered" if fact.type == DELIVERED else "was sent"
        within = f" in the digest {data.digest}" if data.digest is not None else ""
        return f"{what} {done}{within}{_under(data.permission)}{_again(data.round, data.first)}"
    if fact.type == DEFERRED:
        until = f" until {format_time_ns(data.until_ns)}" if data.until_ns is not None else ""
        return f"{what} was put off{until}: {_reason(data.reason, data.why)}"
    if fact.type == SUPPRESSED:
        return f"{what} was not sent: {_reason(data.reason, data.why)}"
    assert fact.type == FAILED, "the list of kinds is closed"
    return f"{what} could not be sent after {counted(data.attempts, 'try', 'tries')}: {data.why}"


def why_told(facts: Sequence[NoticeFact]) -> list[str]:
    """Return the answer to "why did I get this?" or "why did I not?" from all facts about one notice, in order."""
    if not facts:
        return ["nothing was told: it is no news of theirs, or it is not told yet"]
    first = facts[0].data
    cause = f"it is about decision {first.decision}" + (f" in record {first.record}" if first.record else "")
    if first.inviter is not None:
        cause += f", an invitation by {first.inviter}"
    return [cause, *(f"{format_time_ns(fact.at_ns)}: {notice_in_words(fact)}" for fact in facts)]


def why_of_entry(store: LedgerStore, found: FoundEntry, member: str | None = None) -> list[str]:
    """Return why members (or one) were told of an entry or were not, notice by notice, for `ledger why`."""
    notices: dict[str, list[NoticeFact]] = {}
    for fact in told_of_entry(store, found, member):
        notices.setdefault(fact.data.notice, []).append(fact)
    for shown_notice in notices_of_entry(store, found.name):
        fact = decode_fact(bytes(shown_notice.fact))
        if member is None or fact.data.member == member:
            notices.setdefault(fact.data.notice, []).append(fact)
    sentences = [sentence for facts in notices.values() for sentence in why_told(facts)]
    count = not_won(store, found.name) if member is None else 0
    if count:
        told = counted(
            count,
            "member who held tickets was told on the own subject that it has",
            "members who held tickets were told on the own subject that they have",
        )
        sentences.append(f"{told} not won")
    return sentences or why_told([])


def _reason(reason: str | None, why: str | None) -> str:
    words = _REASONS.get(reason or "", reason or "for no reason that is known")
    return f"{words} ({why})" if why is not None else words


def _under(permission: str | None) -> str:
    return f", under the member's consent ({permission})" if permission is not None else ""


def _again(round_: int, first: str | None) -> str:
    return f", sent again (round {round_}) after the failure {first}" if round_ > 1 else ""
