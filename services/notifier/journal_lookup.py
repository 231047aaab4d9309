"""Single looks into the journal, for what must be known before it is followed."""

import datetime

from nats.js.errors import NotFoundError

from events import subjects
from events.record import BadRecord, decode_record, hash_bytes
from services.bus.connect import ServiceBroker
from services.bus.journal import START, FollowedRecord, JournalBroken, JournalPosition
from services.bus.journal_stream import JournalStream
from services.bus.stale import StaleAnswers


class JournalLookup:
    """Reads single records of a market's journal. Every method raises what a broker that is away raises."""

    def __init__(self, broker: ServiceBroker, market: str) -> None:
        self._broker = broker
        self._market = market
        self._name = subjects.journal_stream(market)
        self._stale = StaleAnswers()

    async def begun_at(self) -> datetime.datetime | None:
        """Return the broker's time of the first message of the journal, or None when there is none."""
        state = (await self._broker.jetstream.stream_info(self._name)).state
        if state.messages == 0:
            return None
        return (await self._broker.jetstream.get_msg(self._name, seq=state.first_seq)).time

    async def check(self, position: JournalPosition, held_by: str) -> None:
        """Raise JournalBroken when the journal does not hold the record that `held_by` says it was told."""
        stream = JournalStream(self._broker, self._market)
        try:
            await stream.last_seq(position.seq)
            await stream.check_position(position)
        except JournalBroken as broken:
            raise JournalBroken(
                f"{held_by} holds what record {position.seq} of the journal said, but {broken}; "
                f"restore the journal, nothing is sent until then"
            ) from None

    async def position_at(self, seq: int) -> JournalPosition:
        """Return the position after the record at `seq`; 0 is the start. Raises JournalBroken when none is there."""
        if seq == 0:
            return START
        found = await self.record_at(seq)
        return JournalPosition(found.seq, found.hash)

    async def record_at(self, seq: int) -> FollowedRecord:
        """Return the record at `seq`. Raises JournalBroken when there is none."""
        try:
            found = await self._broker.jetstream.get_msg(self._name, seq=seq)
        except NotFoundError:
            info = await self._broker.jetstream.stream_info(self._name)
            self._stale.doubt(info.config.num_replicas, f"record {seq} of {self._name}")
            raise JournalBroken(f"record {seq} of {self._name} is needed and is missing") from None
        self._stale.settled()
        body = found.data or b""
        own_hash = hash_bytes(body)
        if (found.headers or {}).get(subjects.HEADER_MESSAGE_ID) != own_hash:
            raise JournalBroken(f"message {seq} of {self._name} is no record: a record of the matcher was expected")
        try:
            record = decode_record(body)
        except BadRecord as error:
            raise JournalBroken(f"record {seq} of {self._name} cannot be read: {error}") from None
        at_ns = 0 if found.time is None else int(found.time.timestamp() * 1e9)
        return FollowedRecord(seq, at_ns, own_hash, body, record)
