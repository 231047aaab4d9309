"""Entries on their way into records: consecutive, at most 4 MiB, each record naming how far it reaches."""

from collections import deque
from typing import Final

import msgspec

from events.limits import RECORD_MAX_BYTES
from events.record import RECORD_FORMAT, Record, Through, encode_record, hash_bytes
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

    entries: list[bytes]
    size_bytes: int
    """Of the entries, each with a comma."""
    message: Message | None
    events: int
    rule: int
    through: Through | None = None
    """Where the message is gone: what the record before said of it."""


class RecordBuilder:
    """Gathers entries and cuts them into records that follow each other."""

    def __init__(self, market: str, intake: str, prev: str) -> None:
        """Begin after the record with hash `prev`; `intake` is the identity of the intake stream."""
        self._market = market
        self.intake = intake
        self._prev = prev
        self._parts: deque[_Part] = deque()
        self.size_bytes = 0

    def add(self, entries: list[bytes], message: Message, events: int, rule: int) -> None:
        """Add the entries that `message`, which holds `events` events, caused under rule version `rule`."""
        if entries:
            part = _Part(entries, _size_bytes(entries), message, events, rule)
            self._parts.append(part)
            self.size_bytes += part.size_bytes

    def add_due(self, entries: list[bytes], through: Through, rule: int) -> None:
        """Add what a message left due that `through` describes and that is there no more."""
        if entries:
            part = _Part(entries, _size_bytes(entries), None, through.events, rule, through)
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
        taken: list[bytes] = []
        left_bytes = room_bytes
        while self._parts and self._parts[0].rule == first.rule:
            part = self._parts[0]
            if part.size_bytes <= left_bytes:
                taken += part.entries
                left_bytes -= part.size_bytes
                last = self._parts.popleft()
                continue
            fitting = _fitting(part.entries, left_bytes)
            if fitting:
                taken += part.entries[:fitting]
                fitting_bytes = _size_bytes(part.entries[:fitting])
                left_bytes -= fitting_bytes
                part.entries, part.size_bytes = part.entries[fitting:], part.size_bytes - fitting_bytes
                last = part
            break
        assert taken, "an entry is smaller than a record"
        self.size_bytes -= room_bytes - left_bytes
        return self._ready(taken, last, first.rule)

    def _ready(self, taken: list[bytes], last: _Part, rule: int) -> ReadyRecord:
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
            entries=list(map(msgspec.Raw, taken)),
        )
        body = encode_record(record)
        assert len(body) <= RECORD_MAX_BYTES, f"record of {len(body)} bytes"
        self._prev = hash_bytes(body)
        return ReadyRecord(body, self._prev, through, len(taken))


def _size_bytes(entries: list[bytes]) -> int:
    return sum(map(len, entries)) + len(entries)


def _fitting(entries: list[bytes], room_bytes: int) -> int:
    """Return how many of the first entries fit into `room_bytes`."""
    for count, entry in enumerate(entries):
        room_bytes -= len(entry) + 1
        if room_bytes < 0:
            return count
    return len(entries)
