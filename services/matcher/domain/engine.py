"""The matcher's engine: intake messages in, entries out; entries in, the same state again.

`process` decides, `evolve` recovers. Both change the state through `evolve.apply` alone. Nothing here reads a
clock, a file or a broker.
"""

from sys import intern
from typing import Final

import msgspec

from events import clock
from events.decode import NOT_LOOKED_AT, Unreadable, decode_archived, decode_batch, split_unread
from events.raw import Unread
from events.reasons import Fault
from events.record import Entries, Entry, EntryBytes, decode_entry, encode_entries, encode_entry
from events.registry import FAMILIES
from events.subjects import GATEWAY, MIXED
from services.matcher.domain import due, evolve, gate
from services.matcher.domain.deciding import MAY_BE_PLAIN, Deciding
from services.matcher.domain.facts import UTC_ONLY, Facts, Zones
from services.matcher.domain.identities import identity_key
from services.matcher.domain.message import Message
from services.matcher.domain.moment import Moment
from services.matcher.domain.state import State

_SUBJECTS: Final = frozenset({MIXED, *FAMILIES})
"""Families that an intake message's subject may name."""


class Engine(Deciding):
    """The state of one market and the rules that move it."""

    def process(self, message: Message, first_index: int = 0) -> list[bytes]:
        """Decide `message` from its event `first_index` on; return the bytes of the entries, in order."""
        return _encoded(self._decide(message, first_index))

    def decide(self, message: Message) -> Entries:
        """Decide `message`; return its entries as they stand in a record, encoded all at once."""
        return encode_entries(self._decide(message, 0))

    def _decide(self, message: Message, first_index: int) -> list[Entry]:
        entries: list[Entry] = []
        try:
            if message.family not in _SUBJECTS:
                raise Unreadable(Fault.BAD_SUBJECT)
            raws = split_unread(message.body)
        except Unreadable as fault:
            if first_index == 0:
                self._decide_unreadable(message, 0, message.body, message.publisher, fault, entries)
            return entries
        if len(raws) == 1 and message.family != MIXED:
            if first_index == 0:
                raw = raws[0]  # of one event alone the very bytes of the message
                self._decide_own(message, 0, raw if isinstance(raw, bytes) else bytes(raw), None, None, entries)
        else:
            self._decide_several(message, first_index, raws, entries)
        return entries

    def _decide_several(self, message: Message, first_index: int, raws: list[Unread], entries: list[Entry]) -> None:
        publishers: list[str | None] = [None]
        whole: bytes | None = message.body
        # On the gateway's own subject each event says who published it; nobody else can say it there.
        if message.family != MIXED:
            publishers = [intern(message.publisher)] * len(raws)
        elif message.publisher == GATEWAY:
            publishers, raws = gate.unwrap(raws)
            whole = None
        else:
            publishers *= len(raws)
        decoded = decode_batch(raws, whole) if len(raws) > 1 else [None]
        for index in range(first_index, len(raws)):
            known, publisher = decoded[index], publishers[index]
            if known is None or known[1] == NOT_LOOKED_AT or publisher is None:
                self._decide_own(message, index, bytes(raws[index]), publisher, known, entries)
                continue
            # `_decide_readable`, a call less for nearly every event.
            event, claimed_at = known
            if type(event) not in MAY_BE_PLAIN or not self._decide_plainly(
                message, index, raws[index], publisher, event, claimed_at, entries
            ):
                self._decide_event(message, index, bytes(raws[index]), publisher, event, claimed_at, entries)

    def finish(self) -> list[bytes]:
        """Do what the last event left due at its own moment; after a restart this comes before new input."""
        entries: list[Entry] = []
        self._drain(self.state.now, self.state.position[0], self.state.position[1], entries)
        return _encoded(entries)

    def evolve(self, raw: Unread) -> Entry:
        """Apply an entry that was decided before; return it."""
        entry = decode_entry(raw)
        raw_event = None if entry.event is None else bytes(entry.event)
        event = None if raw_event is None else decode_archived(raw_event)
        self.state.now = entry.at
        self.state.position = (entry.seq, entry.index, entry.part)
        moment = Moment(self.state, self.tree, entry.at, event)
        for decision in entry.decisions:
            evolve.apply(moment, decision)
        if entry.publisher is not None:
            key = None
            if event is not None and not isinstance(event, clock.ClockTickedEvent):
                key = identity_key(entry.publisher, event.source, event.id)
            self._note_event(entry.decisions, raw_event, key)
        self._close_entry(event, entry.at)
        return entry

    def redo(self, entry: EntryBytes, *, is_astray: bool = False) -> list[bytes]:
        """Decide an archived event again, as it came and when it came; return the bytes of all its entries.

        The subject is not archived. Unless `is_astray`, it was one on which the publisher may send what it sent.
        """
        assert entry.event is not None and entry.publisher is not None, "only what is kept can be decided again"
        publisher = intern(entry.publisher)
        # As the gateway sends it, once unwrapped: that may send every family for everybody.
        sender, family = (publisher, "") if is_astray else (GATEWAY, MIXED)
        entries: list[Entry] = []
        message = Message(entry.seq, entry.at, sender, family, b"")
        self._decide_own(message, entry.index, bytes(entry.event), publisher, None, entries)
        return _encoded(entries)

    def retake(self, entry: Entry) -> list[bytes]:
        """Do what was due before an input that is not kept, and take its outcome as archived; return the entries."""
        assert entry.event is None and entry.publisher is not None, "what is kept is decided again"
        message = Message(entry.seq, entry.at, entry.publisher, "", b"")
        now = gate.accepted_time(self.state.market, self.state.now, message, 0)
        entries: list[Entry] = []
        self._drain(now, entry.seq, entry.index, entries)
        turn = self._turn(now, entry.seq, entry.index, entry.publisher, None)
        for decision in entry.decisions:
            turn.emit(decision)
        self._finish_event(turn, None, None, entries)
        return _encoded(entries)

    def redo_due(self, now: int, seq: int, index: int) -> list[bytes]:
        """Do again what was due at `now` (ns) before an input whose own entry is not archived; return the entries."""
        entries: list[Entry] = []
        self._drain(now, seq, index, entries)
        return _encoded(entries)

    def next_due_ns(self) -> int | None:
        """Return when the next deadline is due, in ns of the market's clock; None when there is none."""
        return due.next_due_ns(self.state, self.tree)

    def snapshot(self) -> bytes:
        """Return the state as bytes that `restore` takes."""
        return msgspec.msgpack.encode(self.state)

    @classmethod
    def restore(cls, market: str, facts: Facts, snapshot: bytes, zones: Zones = UTC_ONLY) -> "Engine":
        """Return an engine with the state of a snapshot. Raises ValueError when it is not one."""
        return cls(market, facts, zones, msgspec.msgpack.decode(snapshot, type=State))


def _encoded(entries: list[Entry]) -> list[bytes]:
    return list(map(encode_entry, entries))
