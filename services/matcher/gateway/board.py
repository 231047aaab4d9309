"""The board: which intake message waits for which outcomes, and the journal's records that bring them."""

import time
from collections import deque
from typing import Final

import msgspec

from events.outcome_bytes import outcome_bytes
from events.record import decode_entry
from services.bus.journal import FollowedRecord
from services.matcher.gateway.request import Request

RECENT_MAX_RECORDS: Final = 64
RECENT_MAX_BYTES: Final = 32 * 1024 * 1024

Place = tuple[Request, int, str]
"""A request, the place of one event in it, and the id that the event claims."""


class _EntryHead(msgspec.Struct, gc=False):
    """As much of an entry as tells whether anybody can wait for its record."""

    seq: int


_head_decoder: Final = msgspec.json.Decoder(_EntryHead)


class Sent:
    """An intake message whose outcomes are awaited: the places of its events, by index."""

    __slots__ = ("forget_at_s", "missing", "places", "sent_at_s")

    def __init__(self, places: list[Place], sent_at_s: float, forget_at_s: float) -> None:
        self.places = places
        self.missing = len(places)
        self.sent_at_s = sent_at_s
        self.forget_at_s = forget_at_s


class Board:
    """Outcomes for the intake messages that this gateway sent; everybody else's are passed over."""

    def __init__(self) -> None:
        self._waiting: dict[int, Sent] = {}
        self._recent: deque[FollowedRecord] = deque()
        self._recent_bytes = 0
        self._covered_seq = 0

    @property
    def oldest_wait_s(self) -> float:
        """How long the oldest intake message has been waiting for an outcome, 0 when none is."""
        oldest = next(iter(self._waiting.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest.sent_at_s

    def expect(self, seq: int, sent: Sent) -> list[Request]:
        """Await the outcomes of intake message `seq`; return the requests that are settled by what is known.

        The record may be here before the broker's acknowledgement of the message that it decides.
        """
        settled: list[Request] = []
        if seq <= self._covered_seq:
            waiting = {seq: sent}
            for record in self._recent:
                _answer(waiting, record, settled)
            if not waiting:
                return settled
        self._waiting[seq] = sent
        return settled

    def note(self, records: list[FollowedRecord]) -> list[Request]:
        """Take the outcomes out of new records; return the requests that they settle."""
        settled: list[Request] = []
        for record in records:
            self._covered_seq = record.record.through.seq
            _answer(self._waiting, record, settled)
            self._keep(record)
        return settled

    def forget_until(self, now_s: float) -> None:
        """Stop awaiting what has been awaited for too long; those who asked have been told already."""
        while self._waiting:
            seq, oldest = next(iter(self._waiting.items()))
            if oldest.forget_at_s > now_s:
                return
            del self._waiting[seq]

    def _keep(self, record: FollowedRecord) -> None:
        self._recent.append(record)
        self._recent_bytes += len(record.body)
        while len(self._recent) > RECENT_MAX_RECORDS or self._recent_bytes > RECENT_MAX_BYTES:
            self._recent_bytes -= len(self._recent.popleft().body)


def _answer(waiting: dict[int, Sent], record: FollowedRecord, settled: list[Request]) -> None:
    """Pass on the outcomes in `record` that are waited for, take out of `waiting` what has got all of its own."""
    if not waiting:
        return
    entries = record.record.entries
    first_seq, last_seq = _head_decoder.decode(entries[0]).seq, record.record.through.seq
    if not any(first_seq <= seq <= last_seq for seq in waiting):
        return
    for raw in entries:
        entry = decode_entry(raw)
        sent = waiting.get(entry.seq)
        # A piece of timer work has a position too, but no publisher: it answers nobody.
        if sent is None or entry.publisher is None or entry.index >= len(sent.places):
            continue
        request, place, event_id = sent.places[entry.index]
        if not request.settled and request.note_outcome(place, outcome_bytes(entry, event_id)):
            settled.append(request)
        sent.missing -= 1
        if sent.missing == 0:
            del waiting[entry.seq]
