"""The board: which intake message waits for which outcomes, and the journal's records that bring them."""

import time
from collections import deque
from typing import Final

import msgspec

from events.outcomes import outcome_of
from events.record import decode_entry
from services.bus.journal import FollowedRecord
from services.matcher.gateway.request import Request

RECENT_MAX_RECORDS: Final = 64
RECENT_MAX_BYTES: Final = 32 * 1024 * 1024

Place = tuple[Request, int, str]
"""A request, the place of one event in it, and the id that the event claims."""

_encode: Final = msgspec.json.Encoder().encode


class _EntryHead(msgspec.Struct, gc=False):
    """As much of an entry as tells whether somebody waits for it."""

    seq: int
    index: int
    publisher: str | None = None


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
        self.outcomes = 0
        """How many outcomes have been passed on."""

    @property
    def oldest_wait_s(self) -> float:
        """How long the oldest intake message has been waiting for an outcome, 0 when none is."""
        oldest = next(iter(self._waiting.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest.sent_at_s

    def expect(self, seq: int, sent: Sent) -> list[Request]:
        """Await the outcomes of intake message `seq`; return the requests that are settled by what is known.

        The record may be here before the broker's acknowledgement of the message that it decides.
        """
        self._waiting[seq] = sent
        if seq > self._covered_seq:
            return []
        settled: list[Request] = []
        for record in self._recent:
            if _first_seq(record) <= seq <= record.record.through.seq:
                self._apply(record, settled, only_seq=seq)
        return settled

    def note(self, records: list[FollowedRecord]) -> list[Request]:
        """Take the outcomes out of new records; return the requests that they settle."""
        settled: list[Request] = []
        for record in records:
            self._covered_seq = record.record.through.seq
            if self._waiting:
                self._apply(record, settled)
            self._keep(record)
        return settled

    def forget_until(self, now_s: float) -> None:
        """Stop awaiting what has been awaited for too long; those who asked have been told already."""
        while self._waiting:
            seq, oldest = next(iter(self._waiting.items()))
            if oldest.forget_at_s > now_s:
                return
            del self._waiting[seq]

    def _apply(self, record: FollowedRecord, settled: list[Request], only_seq: int | None = None) -> None:
        for raw in record.record.entries:
            head = _head_decoder.decode(raw)
            sent = self._waiting.get(head.seq)
            # A piece of timer work has a position too, but no publisher: it answers nobody.
            if sent is None or head.publisher is None or head.index >= len(sent.places):
                continue
            if only_seq is not None and head.seq != only_seq:
                continue
            request, place, event_id = sent.places[head.index]
            if not request.settled:
                self.outcomes += 1
                if request.note_outcome(place, _encode(outcome_of(decode_entry(raw), event_id))):
                    settled.append(request)
            sent.missing -= 1
            if sent.missing == 0:
                del self._waiting[head.seq]

    def _keep(self, record: FollowedRecord) -> None:
        self._recent.append(record)
        self._recent_bytes += len(record.body)
        while len(self._recent) > RECENT_MAX_RECORDS or self._recent_bytes > RECENT_MAX_BYTES:
            self._recent_bytes -= len(self._recent.popleft().body)


def _first_seq(record: FollowedRecord) -> int:
    return _head_decoder.decode(record.record.entries[0]).seq
