"""What the journal stream says of itself: whether it is the one we know, where it ends, what it holds."""

import logging
from typing import Final

import nats.errors
from nats.js import api
from nats.js.errors import NotFoundError

from events import subjects
from events.record import hash_bytes
from services.bus.connect import ServiceBroker
from services.bus.journal_chain import START, JournalBroken, JournalPosition
from services.bus.stale import StaleAnswers

STRAYS_LOOKED_BACK_MAX: Final = 10_000
IDENTITY_SHOWN_CHARS: Final = 16

AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
"""What a request to a broker that is away, starting or busy ends with: asked again, never a verdict."""

_log: Final = logging.getLogger("groupbuy.journal")


class JournalStream:
    """The journal stream of a market as one reader knows it, from the first look on."""

    def __init__(self, broker: ServiceBroker, market: str) -> None:
        self.name = subjects.journal_stream(market)
        self._subject = subjects.journal(market)
        self._broker = broker
        self._identity: str | None = None
        self._replicas: int | None = None
        self._stale, self._tail_stale = StaleAnswers(), StaleAnswers()

    async def last_seq(self, known_seq: int) -> int | None:
        """Return where the stream ends, or None when the broker does not answer, or only a node that may be cut off.

        `known_seq` is the last message that has come from it. Raises JournalBroken when it does not exist, is
        not the stream it was at the first look, or is shorter than what has come from it.
        """
        info = await self._info()
        if info is None:
            return None
        self._check_identity(info, known_seq)
        self._replicas = info.config.num_replicas
        last_seq = info.state.last_seq
        if last_seq < known_seq and self._stale.excuses(info.config.num_replicas):
            return None
        if last_seq < known_seq:
            raise JournalBroken(
                f"the journal stream {self.name} ends at {last_seq}, but it is known here up to {known_seq}: "
                f"messages {last_seq + 1} to {known_seq} are missing"
            )
        self._stale.settled()
        return last_seq

    async def check_position(self, position: JournalPosition) -> None:
        """Compare the record at a position with what the stream holds there.

        Raises JournalBroken when it holds another, and one of AWAY when the broker does not answer.
        """
        if position.seq == 0:
            return
        try:
            found = await self._broker.jetstream.get_msg(self.name, seq=position.seq)
        except NotFoundError:
            # Gone by itself it may be: the next record names it, and the chain tells.
            return
        if hash_bytes(found.data or b"") != position.hash:
            raise JournalBroken(
                f"message {position.seq} of {self.name} is not the record that was dealt with here "
                f"({position.hash[:IDENTITY_SHOWN_CHARS]}): the journal was recreated or restored from an "
                f"older copy"
            )

    async def check_tail(self, known_seq: int, last_seq: int) -> None:
        """Make sure that the stream holds a message after `known_seq` when it ends at `last_seq`.

        Raises JournalBroken when its end was deleted, and one of AWAY when the broker does not answer.
        """
        try:
            await self._broker.jetstream.get_msg(self.name, seq=known_seq + 1, subject=self._subject, next=True)
        except NotFoundError:
            # A stream may have been made to begin at a later sequence; then nothing was ever there.
            if known_seq > 0:
                self._tail_stale.doubt(self._replicas, f"message {known_seq + 1} of {self.name}")
                raise JournalBroken(
                    f"messages {known_seq + 1} to {last_seq} of {self.name} are missing: they were deleted"
                ) from None
        else:
            self._tail_stale.settled()

    async def tail(self) -> JournalPosition:
        """Return the position of the last record.

        Raises JournalBroken when the stream does not exist or ends with more strays than can be looked at,
        and one of AWAY when the broker does not answer.
        """
        info = await self._broker_info()
        last_seq = info.state.last_seq
        for seq in range(last_seq, max(0, last_seq - STRAYS_LOOKED_BACK_MAX, info.state.first_seq - 1), -1):
            position = await self._record_at(seq)
            if position is not None:
                return position
        if info.state.messages > STRAYS_LOOKED_BACK_MAX:
            raise JournalBroken(f"the last {STRAYS_LOOKED_BACK_MAX} messages of {self.name} are no records")
        return START

    async def _record_at(self, seq: int) -> JournalPosition | None:
        try:
            found = await self._broker.jetstream.get_msg(self.name, seq=seq)
        except NotFoundError:
            return None
        own_hash = hash_bytes(found.data or b"")
        is_record = (found.headers or {}).get(subjects.HEADER_MESSAGE_ID) == own_hash
        return JournalPosition(seq, own_hash) if is_record else None

    async def _info(self) -> api.StreamInfo | None:
        if not self._broker.client.is_connected:
            # A request now would only be kept and sent later.
            return None
        try:
            return await self._broker_info()
        except AWAY as error:
            _log.warning("%s does not answer: %s", self.name, describe(error))
            return None

    async def _broker_info(self) -> api.StreamInfo:
        try:
            return await self._broker.jetstream.stream_info(self.name)
        except NotFoundError:
            raise JournalBroken(
                f"the journal stream {self.name} does not exist: it was deleted, or never made"
            ) from None

    def _check_identity(self, info: api.StreamInfo, known_seq: int) -> None:
        identity = (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")
        if self._identity is None:
            self._identity = identity
        if identity != self._identity:
            raise JournalBroken(
                f"the journal stream {self.name} was recreated: it is "
                f"{identity[:IDENTITY_SHOWN_CHARS] or 'without identity'} now, known here is "
                f"{self._identity[:IDENTITY_SHOWN_CHARS]} up to message {known_seq}"
            )


def describe(error: BaseException) -> str:
    """Return an error's text, or its kind where it has none."""
    return str(error) or type(error).__name__


async def journal_tail(broker: ServiceBroker, market: str) -> JournalPosition:
    """Return the position of a journal's last record, for readers that need nothing older.

    Raises JournalBroken when there is no such stream, and nats.errors.Error, TimeoutError or OSError when the
    broker does not answer.
    """
    return await JournalStream(broker, market).tail()
