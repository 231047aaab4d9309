"""The channel into a JetStream stream, one subject an addressee; the stream itself holds how far it has come.

Each message names its place (see `place`), so after a crash at any instant the last one says what is still to be
sent, and the fence on the stream's last sequence keeps two notifiers, or a late try of a dead one, from sending
anything twice. What names no place, or another's, is a stray: a publisher can have the broker's answers to it delivered
to any subject (copies of its own outcomes are refused by the fence that they still carry).

Records that say nothing through this channel leave nothing in the stream: after a restart they are read again, at
most SILENT_MAX_RECORDS of them, since then the position alone is written.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from services.bus.connect import ServiceBroker
from services.bus.journal import START, JournalBroken
from services.notifier.atomic import (
    BATCH_MAX_BYTES,
    BATCH_MAX_MESSAGES,
    FenceLost,
    Outgoing,
    PublishFailed,
    publish_fenced,
)
from services.notifier.channels import Bundle, Letter, Reached
from services.notifier.channels.holding import Holding, OutputStream, PositionLost
from services.notifier.channels.place import HEADER_PLACE, place_header
from services.notifier.journal_lookup import JournalLookup

MARKER: Final = "$position"
"""Addressee of a message that tells nobody anything but the position: no name may hold a `$`."""

SILENT_MAX_RECORDS: Final = 256
CONFLICTS_MAX: Final = 100
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


class _Item(NamedTuple):
    """A letter on its way: the `ordinal`th of its bundle."""

    letter: Letter
    bundle: Bundle
    ordinal: int


class NatsChannel:
    """Writes bundles to `stream`, at the subject that `subject_of` gives for each addressee.

    `sent_through` is what an operator declares about a stream that has lost its position: the record
    through which everything counts as sent.
    """

    def __init__(
        self,
        broker: ServiceBroker,
        stream: str,
        subject_of: Callable[[str], str],
        journal: JournalLookup,
        sent_through: int | None = None,
    ) -> None:
        self._name = stream
        self.tally = Tally()
        self._broker = broker
        self._subject_of = subject_of
        self._journal = journal
        self._sent_through = sent_through
        self._stream = OutputStream(broker, stream, journal)
        self._reached = Reached(START)
        self._last_seq = 0
        # Whether what is known of the stream has held since it was last looked at.
        self._sure = False
        self._max_age_s = 0.0
        self._written_at = time.monotonic()
        self._silent_records = 0
        # The stream is written by one task at a time: the handler, or the renewal of the position.
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._name

    @property
    def reached(self) -> Reached:
        """How far the stream has come, as last seen."""
        return self._reached

    async def open(self) -> None:
        """Learn from the stream how far it has come.

        Raises JournalBroken when it has lost its position, or knows of a record that the journal does not hold.
        """
        try:
            self._note(await self._stream.look())
        except PositionLost as lost:
            if self._sent_through is None:
                raise
            await self._declare(lost, self._sent_through)
        await self._journal.check(self._reached.position, self.name)
        self._sure = True

    def has(self, journal_seq: int, record_hash: str) -> bool:
        """Tell whether a record is dealt with. Raises JournalBroken when another record was, at its place."""
        known = self._reached.position
        if journal_seq == known.seq and record_hash != known.hash:
            raise JournalBroken(
                f"{self.name} was told of record {known.seq} as {known.hash[:16]}, but the journal has "
                f"{record_hash[:16]} there: the journal was recreated or restored from an older copy"
            )
        return journal_seq < known.seq or (journal_seq == known.seq and self._reached.complete)

    async def deliver(self, bundles: Sequence[Bundle]) -> None:
        """Send what the stream does not hold yet, and return when it is stored.

        Raises JournalBroken when the stream has lost messages, and PublishFailed or what the connection raises
        when the broker does not confirm; the next call then looks at the stream first.
        """
        await self._until_the_fence_holds(lambda: self._send(bundles))

    async def renew(self) -> None:
        """Write the position anew before the message that holds it grows too old to be kept."""
        age_s = time.monotonic() - self._written_at
        if self._sure and self._last_seq > 0 and 0 < self._max_age_s / AGE_PARTS < age_s:
            await self._until_the_fence_holds(self._mark)

    async def _until_the_fence_holds(self, send: Callable[[], Awaitable[None]]) -> None:
        async with self._lock:
            for _ in range(CONFLICTS_MAX):
                if not self._sure:
                    self._note(await self._stream.look(self._known()))
                self._sure = False
                try:
                    await send()
                except FenceLost as lost:
                    self.tally.conflicts += 1
                    _log.warning("%s was written by another notifier, or by an earlier try: %s", self.name, lost)
                else:
                    self._sure = True
                    return
        raise PublishFailed(f"others write {self.name} all the time: {CONFLICTS_MAX} tries in a row were in vain")

    def _known(self) -> Holding:
        """Return what the stream held when the broker last confirmed anything."""
        return Holding(self._last_seq, self._reached, 0, self._max_age_s)

    def _note(self, holding: Holding) -> None:
        self._last_seq = holding.last_seq
        self._reached = holding.reached
        self._max_age_s = holding.max_age_s
        self.tally.strays += holding.strays
        if holding.written_at is not None:
            age_s = (datetime.now(UTC) - holding.written_at).total_seconds()
            self._written_at = time.monotonic() - age_s

    async def _declare(self, lost: PositionLost, sent_through: int) -> None:
        """Take an operator's word for the position that the stream has lost, and write it down there."""
        self._last_seq, self._max_age_s = lost.last_seq, lost.max_age_s
        self._reached = Reached(await self._journal.position_at(sent_through))
        _log.warning("%s counts as told through record %d, as declared", self.name, sent_through)
        await self._mark()

    # Sending.

    async def _send(self, bundles: Sequence[Bundle]) -> None:
        missing = [bundle for bundle in bundles if not self.has(bundle.journal_seq, bundle.record_hash)]
        if not missing:
            return
        for chunk in _chunks(_items(missing, self._sent_of(missing[0]))):
            await self._publish(chunk)
        if not missing[-1].letters:
            await self._pass_over(missing)

    def _sent_of(self, bundle: Bundle) -> int:
        """Return how many letters of the next bundle the stream holds already."""
        reached = self._reached
        if reached.complete:
            return 0
        assert reached.position == bundle.position, "a record is finished before the next is begun"
        if reached.of != len(bundle.letters):
            raise JournalBroken(
                f"{self.name} holds {reached.ordinal} of {reached.of} messages of record {bundle.journal_seq}, which "
                f"make {len(bundle.letters)} here: another version of the notifier began it and must finish it"
            )
        return reached.ordinal

    async def _publish(self, items: Sequence[_Item]) -> None:
        last = items[-1]
        reached = Reached(last.bundle.position, last.ordinal, len(last.bundle.letters))
        messages = [self._outgoing(seq, item) for seq, item in enumerate(items, start=self._last_seq + 1)]
        await self._store(messages, reached)
        self.tally.told += sum([item.letter.tells for item in items])

    def _outgoing(self, seq: int, item: _Item) -> Outgoing:
        letter, bundle, ordinal = item
        place = place_header(self._name, seq, bundle.journal_seq, ordinal, len(bundle.letters), bundle.record_hash)
        return Outgoing(self._subject_of(letter.addressee), letter.body, {HEADER_PLACE: place})

    async def _store(self, messages: Sequence[Outgoing], reached: Reached) -> None:
        """Append messages, after which the stream has come as far as `reached`."""
        self._last_seq = await publish_fenced(self._broker.client, messages, self._last_seq)
        self._reached = reached
        self._written_at = time.monotonic()
        self._silent_records = 0
        self.tally.publishes += 1
        self.tally.messages += len(messages)

    async def _pass_over(self, bundles: Sequence[Bundle]) -> None:
        """Note records that say nothing; now and then in the stream, so that a restart need not read them all again."""
        self._silent_records += sum(
            1 for _ in itertools.takewhile(lambda bundle: not bundle.letters, reversed(bundles))
        )
        self._reached = Reached(bundles[-1].position)
        if self._silent_records >= SILENT_MAX_RECORDS:
            await self._mark()

    async def _mark(self) -> None:
        """Write the position alone."""
        reached = self._reached
        position, seq = reached.position, self._last_seq + 1
        body = _encode({"record": position.seq, "hash": position.hash})
        place = place_header(self._name, seq, position.seq, reached.ordinal, reached.of, position.hash)
        await self._store([Outgoing(self._subject_of(MARKER), body, {HEADER_PLACE: place})], reached)
        self.tally.markers += 1


def _items(bundles: Sequence[Bundle], already_sent: int) -> Iterator[_Item]:
    """Yield the letters of the bundles without the first `already_sent`."""
    every = (
        _Item(letter, bundle, ordinal) for bundle in bundles for ordinal, letter in enumerate(bundle.letters, start=1)
    )
    return itertools.islice(every, already_sent, None)


def _chunks(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    """Yield the items in runs that one publish can take."""
    chunk: list[_Item] = []
    size_bytes = 0
    for item in items:
        if chunk and (len(chunk) == BATCH_MAX_MESSAGES or size_bytes + len(item.letter.body) > BATCH_MAX_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(item)
        size_bytes += len(item.letter.body)
    if chunk:
        yield chunk
