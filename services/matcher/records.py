"""Entries on their way into records: consecutive, at most 4 MiB, each record naming how far it reaches."""

from collections import deque
from typing import Final

import msgspec

from events.limits import RECORD_MAX_BYTES
from events.record import (
    RECORD_FORMAT,
    Entries,
    Record,
    Through,
    encode_record,
    hash_bytes,
    join_entries,
    split_entries,
)
from services.matcher.domain.message import Message

_FRAME_BYTES: Final = 1_024
"""More than a record's own fields take."""


class ReadyRecord(msgspec.Struct, frozen=True):
    """A record ready to be committed."""

    body: bytes
    hash: str
    through: Through
    entries: int


class _Part(msgspec.Struct):
    """The entries that one message caused, as far as they are in no record yet."""

    entries: Entries
    message: Message | None
    events: int
    rule: int
    through: Through | None = None
    """Where the message is gone: what the record before said of it."""

    @property
    def size_bytes(self) -> int:
        """Of the entries, each with a comma."""
        return len(self.entries.body) + 1


class RecordBuilder:
    """Gathers entries and cuts them into records that follow each other."""

    def __init__(self, market: str, intake: str, prev: str) -> None:
        """Begin after the record with hash `prev`; `intake` is the identity of the intake stream."""
        self._market = market
        self.intake = intake
        self._prev = prev
        self._parts: deque[_Part] = deque()
        self.size_bytes = 0

    def add(self, entries: Entries, message: Message, events: int, rule: int) -> None:
        """Add the entries that `message`, which holds `events` events, caused under rule version `rule`."""
        self._add(_Part(entries, message, events, rule))

    def add_due(self, entries: Entries, through: Through, rule: int) -> None:
        """Add what a message left due that `through` describes and that is there no more."""
        self._add(_Part(entries, None, through.events, rule, through))

    def _add(self, part: _Part) -> None:
        if part.entries.count:
            self._parts.append(part)
            self.size_bytes += part.size_bytes

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to commit."""
        return not self._parts

    def cut(self) -> ReadyRecord:
        """Take as many entries as fit into one record, all of one rule version, and return it."""
        assert self._parts, "there is something to commit"
        room_bytes = RECORD_MAX_BYTES - _FRAME_BYTES
        first = last = self._parts[0]
        taken: list[Entries] = []
        left_bytes = room_bytes
        while self._parts and self._parts[0].rule == first.rule:
            part = self._parts[0]
            if part.size_bytes <= left_bytes:
                taken.append(part.entries)
                left_bytes -= part.size_bytes
                last = self._parts.popleft()
                continue
            # The only entries that are taken apart: those of the one message in whose middle a record ends.
            entries = split_entries(part.entries)
            fitting = _fitting(entries, left_bytes)
            if fitting:
                taken.append(join_entries(entries[:fitting]))
                left_bytes -= len(taken[-1].body) + 1
                part.entries = join_entries(entries[fitting:])
                last = part
            break
        assert taken, "an entry is smaller than a record"
        self.size_bytes -= room_bytes - left_bytes
        return self._ready(taken, last, first.rule)

    def _ready(self, taken: list[Entries], last: _Part, rule: int) -> ReadyRecord:
        message, through = last.message, last.through
        if through is None:
            assert message is not None, "a message or what is known of it"
            through = Through(seq=message.seq, events=last.events, at=message.at, hash=hash_bytes(message.body))
        record = Record(
            v=RECORD_FORMAT,
            market=self._market,
            prev=self._prev,
            intake=self.intake,
            rule=rule,
            through=through,
            # Several entries with their commas take the place of one: the bytes are the same.
            entries=[msgspec.Raw(entries.body) for entries in taken],
        )
        body = encode_record(record)
        assert len(body) <= RECORD_MAX_BYTES, f"record of {len(body)} bytes"
        self._prev = hash_bytes(body)
        return ReadyRecord(body, self._prev, through, sum(entries.count for entries in taken))


def _fitting(entries: list[bytes], room_bytes: int) -> int:
    """Return how many of the first entries fit into `room_bytes`."""
    for count, entry in enumerate(entries):
        room_bytes -= len(entry) + 1
        if room_bytes < 0:
            return count
    return len(entries)
