"""Where an output stream ends and how far it has come, and the one way in which anything is stored there.

Records that say nothing through a channel leave nothing in its stream: after a restart they are read again, at most
SILENT_MAX_RECORDS of them, since then the position alone is written.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.bus.connect import ServiceBroker
from services.bus.journal import START, JournalBroken, JournalPosition
from services.notifier.atomic import (
    BATCH_MAX_MESSAGES,
    BATCH_USUAL_MAX_MESSAGES,
    BatchTooLarge,
    Outgoing,
    publish_fenced,
)
from services.notifier.channels import Bundle, Letter, Reached
from services.notifier.channels.envelopes import Envelopes
from services.notifier.channels.holding import Holding, OutputStream, PositionLost
from services.notifier.journal_lookup import JournalLookup

MARKER: Final = "$position"
"""Addressee of a message that tells nobody anything but the position: no name may hold a `$`."""

SILENT_MAX_RECORDS: Final = 256
# The position is written again long before the stream's max_age takes the message that holds it.
AGE_PARTS: Final = 4

_log: Final = logging.getLogger("groupbuy.notifier")
_encode: Final = msgspec.json.Encoder().encode


class Tally(msgspec.Struct):
    """What a channel has done since it was made; `told` counts the outcomes or results in its messages."""

    messages: int = 0
    told: int = 0
    publishes: int = 0
    markers: int = 0
    conflicts: int = 0
    strays: int = 0


class StreamEnd:
    """What is known of the end of `stream`. Whoever stores there does so one at a time."""

    def __init__(self, broker: ServiceBroker, stream: str, envelopes: Envelopes, journal: JournalLookup) -> None:
        self.name = stream
        self.tally = Tally()
        self.reached = Reached(START)
        self.last_seq = 0
        # Whether what is known of the stream has held since it was last looked at.
        self.is_sure = False
        self.batch_max_messages = BATCH_MAX_MESSAGES
        self._broker = broker
        self._envelopes = envelopes
        self._journal = journal
        self._stream = OutputStream(broker, stream, journal)
        self._max_age_s = 0.0
        self._written_at = time.monotonic()
        self._silent_records = 0
        self._moved = asyncio.Event()

    @property
    def is_aging(self) -> bool:
        """Whether the message that holds the position will soon be too old to be kept."""
        age_s = time.monotonic() - self._written_at
        return self.last_seq > 0 and 0 < self._max_age_s / AGE_PARTS < age_s

    async def learn(self, sent_through: int | None) -> None:
        """Learn from the stream how far it has come; where it has lost that, take `sent_through` for it.

        Raises JournalBroken when neither says so, or when the stream knows of a record that the journal does not hold.
        """
        try:
            self._note(await self._stream.look())
        except PositionLost as lost:
            if sent_through is None:
                raise
            await self._declare(lost, sent_through)
        await self._journal.check(self.reached.position, self.name)

    @contextlib.asynccontextmanager
    async def certain(self) -> AsyncIterator[None]:
        """Look at the stream where it is in doubt; what fails meanwhile leaves it in doubt."""
        if not self.is_sure:
            self._note(await self._stream.look(self._known()))
        self.is_sure = False
        yield
        self.is_sure = True

    def has(self, journal_seq: int, record_hash: str) -> bool:
        """Tell whether a record is dealt with. Raises JournalBroken when another record was, at its place."""
        known = self.reached.position
        if journal_seq == known.seq and record_hash != known.hash:
            raise JournalBroken(
                f"{self.name} was told of record {known.seq} as {known.hash[:16]}, but the journal has "
                f"{record_hash[:16]} there: the journal was recreated or restored from an older copy"
            )
        return journal_seq < known.seq or (journal_seq == known.seq and self.reached.complete)

    async def until_it_has(self, position: JournalPosition) -> None:
        """Return once a record is told and stored for good. Raises JournalBroken when another record was."""
        while not self.has(position.seq, position.hash):
            self._moved.clear()
            await self._moved.wait()

    # Storing.

    async def store(self, messages: Sequence[Outgoing], reached: Reached, *, whole: bool = False) -> None:
        """Append messages, after which the stream has come as far as `reached`."""
        try:
            last_seq = await publish_fenced(self._broker.client, messages, self.last_seq, whole=whole)
        except BatchTooLarge:
            self.note_too_large()
            raise
        self.note_stored(last_seq, len(messages), reached)

    def note_too_large(self) -> None:
        """Make smaller batches from now on: this broker was not told to take so large ones."""
        self.batch_max_messages = BATCH_USUAL_MAX_MESSAGES

    def note_stored(self, last_seq: int, messages: int, reached: Reached) -> None:
        """Note that as many messages were stored, the last of them at `last_seq`."""
        self.last_seq = last_seq
        self.reached = reached
        self._moved.set()
        self._written_at = time.monotonic()
        self._silent_records = 0
        self.tally.publishes += 1
        self.tally.messages += messages

    async def pass_over(self, bundles: Sequence[Bundle]) -> None:
        """Note records that say nothing; now and then in the stream, so that a restart need not read them all again."""
        self._silent_records += sum(
            1 for _ in itertools.takewhile(lambda bundle: not bundle.letters, reversed(bundles))
        )
        self.reached = Reached(bundles[-1].position)
        self._moved.set()
        if self._silent_records >= SILENT_MAX_RECORDS:
            await self.mark()

    async def mark(self) -> None:
        """Write the position alone."""
        position = self.reached.position
        body = _encode({"record": position.seq, "hash": position.hash})
        await self.store([self.place_holder(Letter(MARKER, body, 0), ahead=1)], self.reached)
        self.tally.markers += 1

    def place_holder(self, letter: Letter, ahead: int) -> Outgoing:
        """Return a message that is `ahead` of the stream's end and says that nothing more of the journal was told."""
        return self._envelopes.placed(self.last_seq + ahead, letter, self.reached)

    # Looking.

    def _known(self) -> Holding:
        """Return what the stream held when the broker last confirmed anything."""
        return Holding(self.last_seq, self.reached, 0, self._max_age_s)

    def _note(self, holding: Holding) -> None:
        self._moved.set()
        self.last_seq = holding.last_seq
        self.reached = holding.reached
        self._max_age_s = holding.max_age_s
        self.tally.strays += holding.strays
        if holding.written_at is not None:
            age_s = (datetime.now(UTC) - holding.written_at).total_seconds()
            self._written_at = time.monotonic() - age_s

    async def _declare(self, lost: PositionLost, sent_through: int) -> None:
        """Take an operator's word for the position that the stream has lost, and write it down there."""
        self.last_seq, self._max_age_s = lost.last_seq, lost.max_age_s
        self.reached = Reached(await self._journal.position_at(sent_through))
        _log.warning("%s counts as told through record %d, as declared", self.name, sent_through)
        await self.mark()
