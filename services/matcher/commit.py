"""The commit: one doubly fenced record at a time into the journal, settled whatever the broker answers."""

import asyncio
import logging
from typing import Final

import nats.errors
from nats.js import api
from nats.js.errors import NotFoundError

from events import subjects
from events.record import hash_bytes
from events.undecodable import UNDECODABLE
from services.bus.asking import asker_of, decode_ack
from services.bus.connect import ServiceBroker
from services.bus.wire import header_block, wire_of

PUBLISH_TIMEOUT_S: Final = 2.5
RETRY_S: Final = 0.2
RETRY_MAX_S: Final = 1.0
_FENCE_ERRORS: Final = frozenset({10071, 10070, 10164})
"""Wrong last sequence, wrong last message id, and the latter's newer form."""

_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_log: Final = logging.getLogger("groupbuy.matcher.commit")


class FenceLostError(Exception):
    """Another matcher has written to the journal: this one's state is void."""


class JournalWriter:
    """Appends records after a known end of the journal.

    `last_seq` is the stream's last sequence, strays included. `last_hash` is the hash of the last record where the
    last message is one; None after a stray, which leaves the broker without a last message id to compare.
    """

    def __init__(self, broker: ServiceBroker, market: str, last_seq: int, last_hash: str | None) -> None:
        self._broker = broker
        self._stream = subjects.journal_stream(market)
        self._subject = subjects.journal(market)
        self.last_seq = last_seq
        self._last_hash = last_hash

    async def append(self, body: bytes, own_hash: str) -> int:
        """Commit a record and return its sequence, however often the broker has to be asked.

        Raises FenceLostError when the journal has grown by somebody else's hand.
        """
        pause_s = RETRY_S
        while True:
            try:
                asker = await asker_of(self._broker.client)
                answer = asker.ask(self._subject, body, self._fence(own_hash), PUBLISH_TIMEOUT_S)
                # Before the rules go on, which would hold it up for milliseconds.
                wire_of(self._broker.client).flush()
                ack = decode_ack(await answer)
            except (*_AWAY, *UNDECODABLE) as error:
                # The record may be in the journal, or on its way, or lost: the same bytes under the same fence
                # are published again, and at most one of them gets in.
                _log.warning("no answer to a commit: %s", str(error) or type(error).__name__)
            else:
                if ack.error is None:
                    return self._committed(ack.seq, own_hash)
                if ack.error.err_code in _FENCE_ERRORS:
                    return await self._settle_conflict(own_hash)
                _log.warning("the journal does not take the record: %s", ack.error.description)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)

    def _fence(self, own_hash: str) -> bytes:
        fence = {subjects.HEADER_MESSAGE_ID: own_hash, subjects.HEADER_LAST_SEQUENCE: str(self.last_seq)}
        if self._last_hash is not None and self.last_seq > 0:
            fence[subjects.HEADER_LAST_MESSAGE_ID] = self._last_hash
        return header_block(fence)

    async def _settle_conflict(self, own_hash: str) -> int:
        """Find out whether the conflict is with our own record, committed without our hearing of it."""
        while True:
            try:
                seq = await self._find_own(own_hash)
            except _AWAY as error:
                _log.warning("cannot read back the journal yet: %s", str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_S)
                continue
            if seq is None:
                raise FenceLostError(f"{self._stream} has grown past {self.last_seq} by another matcher's hand")
            return self._committed(seq, own_hash)

    async def _find_own(self, own_hash: str) -> int | None:
        """Return the sequence of our record if it is the first after our last, strays aside."""
        info = await self._broker.jetstream.stream_info(self._stream)
        for seq in range(self.last_seq + 1, info.state.last_seq + 1):
            try:
                found = await self._broker.jetstream.get_msg(self._stream, seq=seq)
            except NotFoundError:
                continue
            if is_record(found):
                is_last = seq == info.state.last_seq
                return seq if hash_bytes(found.data or b"") == own_hash and is_last else None
        return None

    def _committed(self, seq: int, own_hash: str) -> int:
        # Two matchers may make the very same record: the broker then acknowledges the one that it has, which is
        # as good as ours if it stands where ours would.
        if seq <= self.last_seq:
            raise FenceLostError(f"{self._stream} held this record at {seq} already")
        self.last_seq, self._last_hash = seq, own_hash
        return seq


async def journal_end(broker: ServiceBroker, market: str, seq: int, record_hash: str) -> tuple[int, str | None]:
    """Return (last sequence, last message's hash) of the journal whose last known record is `record_hash` at `seq`.

    The hash is None where strays follow the record. Raises FenceLostError when it is not the last record any more
    (to take the newer one for a stray would fork the chain), nats.errors.Error or TimeoutError while the broker
    is away, or a node of a cluster lacks what another has.
    """
    stream = subjects.journal_stream(market)
    info: api.StreamInfo = await broker.jetstream.stream_info(stream)
    last_seq = info.state.last_seq
    for later in range(seq + 1, last_seq + 1):
        try:
            found = await broker.jetstream.get_msg(stream, seq=later)
        except NotFoundError:
            if (info.config.num_replicas or 1) > 1:
                # Two nodes have answered, and one of them was cut off: what it lacks may well be a record.
                raise TimeoutError(f"message {later} of {stream} is there and is not") from None
            continue
        if is_record(found):
            raise FenceLostError(f"{stream} has grown past {seq} by another matcher's hand while it was read")
    return last_seq, record_hash if last_seq == seq else None


def is_record(message: api.RawStreamMsg) -> bool:
    """Tell whether a journal message is a record, by the fixed rule: its id is the SHA-256 of its body."""
    return (message.headers or {}).get(subjects.HEADER_MESSAGE_ID) == hash_bytes(message.data or b"")
