"""The channel into a JetStream stream, one subject an addressee; the stream itself holds how far it has come.

Each message that can be the last one names its place (see `place`), so after a crash at any instant that says what is
still to be sent, and the fence on the stream's last sequence keeps two notifiers, or a late try of a dead one, from
sending anything twice. What stands at the end and names no place, or another's, is a stray: a publisher can have the
broker's answers to it delivered to any subject (copies of its own outcomes are refused by the fence that they carry).

Records that say nothing through this channel leave nothing in the stream: after a restart they are read again, at
most SILENT_MAX_RECORDS of them, since then the position alone is written.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
import nats.errors
from nats.js.errors import NotFoundError

from services.bus.asking import Asker, asker_of
from services.bus.connect import ServiceBroker
from services.bus.journal import START, JournalBroken, JournalPosition
from services.notifier.atomic import (
    CHAIN_MAX_MESSAGES,
    FenceLost,
    Outgoing,
    PublishFailed,
    end_of_stream,
    publish_fenced,
    send_chain,
)
from services.notifier.channels import Bundle, Letter, Reached
from services.notifier.channels.holding import Holding, OutputStream, PositionLost
from services.notifier.channels.items import Item, chunks_of, items_of
from services.notifier.channels.place import HEADER_PLACE, place_header
from services.notifier.journal_lookup import JournalLookup
from services.notifier.letters import gathered

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


class _Ahead(NamedTuple):
    """Where the stream ends once everything sent is stored: the last sequence, and that message's id and record."""

    last_seq: int
    message_id: str
    journal_seq: int


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
        self._ahead: _Ahead | None = None
        self._unconfirmed = 0
        self._asker: Asker | None = None
        self._max_age_s = 0.0
        self._written_at = time.monotonic()
        self._silent_records = 0
        self._moved = asyncio.Event()
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

    @property
    def conflicts(self) -> int:
        """How often the stream did not end where it was expected to."""
        return self.tally.conflicts

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
        self._asker = await asker_of(self._broker.client)
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

    def begin(self, bundles: Sequence[Bundle]) -> "asyncio.Task[None] | None":
        """Send bundles without waiting for those before them to be stored; return what ends when these are.

        None when they must be delivered instead: after a doubt, while something else is written, when they are more
        than a chain holds, or none. When one is not stored, none of those after it is: deliver them all again.
        """
        letters = sum([len(bundle.letters) for bundle in bundles])
        if not 0 < letters <= CHAIN_MAX_MESSAGES or not bundles[-1].letters or not self._may_run_ahead(bundles):
            return None
        items = list(items_of(bundles, 0))
        ahead = self._ahead or _Ahead(self._last_seq, "", self._reached.position.seq)
        assert bundles[0].journal_seq > ahead.journal_seq, "what is on its way is not sent again"
        messages = [self._outgoing(seq, item) for seq, item in enumerate(items, start=ahead.last_seq + 1)]
        client = self._broker.client
        assert self._asker is not None, "a channel that is sure has been opened"
        try:
            answer, message_id = send_chain(self._asker, client, messages, ahead.last_seq, ahead.message_id)
        except (nats.errors.Error, OSError):
            self._sure = False
            return None
        self._ahead = _Ahead(ahead.last_seq + len(messages), message_id, bundles[-1].journal_seq)
        self._unconfirmed += 1
        return asyncio.create_task(self._confirm(answer, messages, items, ahead.last_seq), name="notifier confirmation")

    def _may_run_ahead(self, bundles: Sequence[Bundle]) -> bool:
        if not self._sure or self._lock.locked() or not self._reached.complete or not self._broker.client.is_connected:
            return False
        return not any(self.has(bundle.journal_seq, bundle.record_hash) for bundle in bundles)

    async def _confirm(
        self, answer: "asyncio.Future[bytes]", messages: Sequence[Outgoing], items: Sequence[Item], last_seq: int
    ) -> None:
        try:
            end_seq = await end_of_stream(answer, messages, last_seq)
        except BaseException as error:
            self.tally.conflicts += self._sure and isinstance(error, FenceLost)
            self._sure = False
            raise
        finally:
            self._unconfirmed -= 1
            if self._unconfirmed == 0:
                self._ahead = None
        if not self._sure:
            raise PublishFailed("what was sent before this was not stored")
        self._note_stored(end_seq, len(messages), items[-1].reached)
        self.tally.told += sum([item.letter.tells for item in items])

    async def renew(self) -> None:
        """Write the position anew before the message that holds it grows too old to be kept."""
        age_s = time.monotonic() - self._written_at
        if self._sure and not self._unconfirmed and self._last_seq > 0 and 0 < self._max_age_s / AGE_PARTS < age_s:
            await self._until_the_fence_holds(self._mark)

    async def _until_the_fence_holds(self, send: Callable[[], Awaitable[None]]) -> None:
        async with self._lock:
            assert self._unconfirmed == 0, "what was sent ahead is confirmed or given up first"
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
        self._moved.set()
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

    # Beside the records.

    @property
    def is_open(self) -> bool:
        """Whether it is known how far the stream has come."""
        return self._asker is not None

    async def slip_in(self, letters: Sequence[Letter], marker: Letter) -> None:
        """Store letters that no record holds, between two rounds, and `marker` behind them: all of it or nothing.

        Fewer than a batch holds. Raises FenceLost or PublishFailed when it is not certain that they are stored: what
        was stored last as `last_for` the marker's addressee tells.
        """
        assert self.is_open, "a channel is opened before anything is sent"
        async with self._lock:
            assert self._unconfirmed == 0, "nothing runs ahead of what is slipped in"
            if not self._sure:
                self._note(await self._stream.look(self._known()))
            self._sure = False
            messages = [*self._loose(letters), self._place_holder(marker, ahead=len(letters) + 1)]
            await self._store(messages, self._reached, whole=True)
            self._sure = True
        self.tally.told += sum([letter.tells for letter in letters])

    async def until_it_has(self, position: JournalPosition) -> None:
        """Return once a record is told and stored for good. Raises JournalBroken when another record was."""
        while not self.has(position.seq, position.hash):
            self._moved.clear()
            await self._moved.wait()

    async def last_for(self, addressee: str) -> bytes | None:
        """Return the last message that is stored for an addressee, None when there is none."""
        try:
            found = await self._broker.jetstream.get_last_msg(self._name, self._subject_of(addressee))
        except NotFoundError:
            return None
        return found.data or b""

    def _loose(self, letters: Sequence[Letter]) -> list[Outgoing]:
        return [Outgoing(self._subject_of(letter.addressee), letter.body, {}) for letter in letters]

    # Sending.

    async def _send(self, bundles: Sequence[Bundle]) -> None:
        missing = [bundle for bundle in bundles if not self.has(bundle.journal_seq, bundle.record_hash)]
        if not missing:
            return
        for chunk in chunks_of(items_of(missing, self._sent_of(missing[0]))):
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

    async def _publish(self, items: Sequence[Item]) -> None:
        if len(items) <= CHAIN_MAX_MESSAGES:
            messages = [self._outgoing(seq, item) for seq, item in enumerate(items, start=self._last_seq + 1)]
        else:
            # A batch is stored whole or not at all: the last speaks for all of it, and one an addressee will do.
            letters = gathered([item.letter for item in items])
            last = items[-1]._replace(letter=letters[-1])
            messages = [*self._loose(letters[:-1]), self._outgoing(self._last_seq + len(letters), last)]
        await self._store(messages, items[-1].reached, whole=len(items) > CHAIN_MAX_MESSAGES)
        self.tally.told += sum([item.letter.tells for item in items])

    def _outgoing(self, seq: int, item: Item) -> Outgoing:
        letter, bundle, ordinal = item
        place = place_header(self._name, seq, bundle.journal_seq, ordinal, len(bundle.letters), bundle.record_hash)
        return Outgoing(self._subject_of(letter.addressee), letter.body, {HEADER_PLACE: place})

    async def _store(self, messages: Sequence[Outgoing], reached: Reached, *, whole: bool = False) -> None:
        """Append messages, after which the stream has come as far as `reached`."""
        last_seq = await publish_fenced(self._broker.client, messages, self._last_seq, whole=whole)
        self._note_stored(last_seq, len(messages), reached)

    def _note_stored(self, last_seq: int, messages: int, reached: Reached) -> None:
        self._last_seq = last_seq
        self._reached = reached
        self._moved.set()
        self._written_at = time.monotonic()
        self._silent_records = 0
        self.tally.publishes += 1
        self.tally.messages += messages

    async def _pass_over(self, bundles: Sequence[Bundle]) -> None:
        """Note records that say nothing; now and then in the stream, so that a restart need not read them all again."""
        self._silent_records += sum(
            1 for _ in itertools.takewhile(lambda bundle: not bundle.letters, reversed(bundles))
        )
        self._reached = Reached(bundles[-1].position)
        self._moved.set()
        if self._silent_records >= SILENT_MAX_RECORDS:
            await self._mark()

    async def _mark(self) -> None:
        """Write the position alone."""
        position = self._reached.position
        body = _encode({"record": position.seq, "hash": position.hash})
        await self._store([self._place_holder(Letter(MARKER, body, 0), ahead=1)], self._reached)
        self.tally.markers += 1

    def _place_holder(self, letter: Letter, ahead: int) -> Outgoing:
        """Return a message that is `ahead` of the stream's end and says that nothing more of the journal was told."""
        reached = self._reached
        position, seq = reached.position, self._last_seq + ahead
        place = place_header(self._name, seq, position.seq, reached.ordinal, reached.of, position.hash)
        return Outgoing(self._subject_of(letter.addressee), letter.body, {HEADER_PLACE: place})
