"""The channel into a JetStream stream, one subject an addressee; the stream itself holds how far it has come.

Each message that can be the last one names its place (see `place`), so after a crash at any instant that says what is
still to be sent, and the fence on the stream's last sequence keeps two notifiers, or a late try of a dead one, from
sending anything twice. What stands at the end and names no place, or another's, is a stray: a publisher can have the
broker's answers to it delivered to any subject (copies of its own outcomes are refused by the fence that they carry).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nats.js.errors import NotFoundError

from events.counted import counted
from services.bus.connect import ServiceBroker
from services.bus.journal import JournalBroken, JournalPosition
from services.notifier.atomic import CHAIN_MAX_MESSAGES, FenceLost, PublishFailed
from services.notifier.channels import Bundle, Letter, Reached
from services.notifier.channels.ahead import SendingAhead
from services.notifier.channels.envelopes import Envelopes
from services.notifier.channels.items import Item, chunks_of, items_of
from services.notifier.channels.stream_end import StreamEnd, Tally
from services.notifier.journal_lookup import JournalLookup

CONFLICTS_MAX: Final = 100

_log: Final = logging.getLogger("groupbuy.notifier")


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
        self._broker = broker
        self._sent_through = sent_through
        self._envelopes = Envelopes(stream, subject_of)
        self._end = StreamEnd(broker, stream, self._envelopes, journal)
        self._ahead = SendingAhead(broker, self._end, self._envelopes)
        # The stream is written by one task at a time: the handler, or the renewal of the position.
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._name

    @property
    def reached(self) -> Reached:
        """How far the stream has come, as last seen."""
        return self._end.reached

    @property
    def tally(self) -> Tally:
        """What the channel has done since it was made."""
        return self._end.tally

    @property
    def conflicts(self) -> int:
        """How often the stream did not end where it was expected to."""
        return self.tally.conflicts

    async def open(self) -> None:
        """Learn from the stream how far it has come.

        Raises JournalBroken when it has lost its position, or knows of a record that the journal does not hold.
        """
        await self._end.learn(self._sent_through)
        await self._ahead.open()
        self._end.is_sure = True

    def has(self, journal_seq: int, record_hash: str) -> bool:
        """Tell whether a record is dealt with. Raises JournalBroken when another record was, at its place."""
        return self._end.has(journal_seq, record_hash)

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
        return None if self._lock.locked() else self._ahead.chain(bundles)

    def stage(self, bundles: Sequence[Bundle]) -> "asyncio.Task[None] | None":
        """Have the broker take bundles as a batch, which is closed when those before them are stored.

        Returns and means what `begin` does; None also when they are so few that a chain will do.
        """
        return None if self._lock.locked() else self._ahead.stage(bundles)

    async def renew(self) -> None:
        """Write the position anew before the message that holds it grows too old to be kept."""
        if self._end.is_sure and self._ahead.is_idle and self._end.is_aging:
            await self._until_the_fence_holds(self._end.mark)

    async def _until_the_fence_holds(self, send: Callable[[], Awaitable[None]]) -> None:
        async with self._lock:
            await self._ahead.until_idle()
            for _ in range(CONFLICTS_MAX):
                try:
                    async with self._end.certain():
                        await send()
                except FenceLost as lost:
                    self.tally.conflicts += 1
                    _log.warning("%s was written by another notifier, or by an earlier try: %s", self.name, lost)
                else:
                    return
        raise PublishFailed(f"others write {self.name} all the time: {CONFLICTS_MAX} tries in a row were in vain")

    # Beside the records.

    @property
    def is_open(self) -> bool:
        """Whether it is known how far the stream has come."""
        return self._ahead.is_open

    async def slip_in(self, letters: Sequence[Letter], marker: Letter) -> None:
        """Store letters that no record holds, between two rounds, and `marker` behind them: all of it or nothing.

        Fewer than a batch holds. Raises FenceLost or PublishFailed when it is not certain that they are stored: what
        was stored last as `last_for` the marker's addressee tells.
        """
        assert self.is_open, "a channel is opened before anything is sent"
        async with self._lock:
            await self._ahead.until_idle()
            async with self._end.certain():
                closing = self._end.place_holder(marker, ahead=len(letters) + 1)
                await self._end.store([*self._envelopes.loose(letters), closing], self.reached, whole=True)
        self.tally.told += sum([letter.tells for letter in letters])

    async def until_it_has(self, position: JournalPosition) -> None:
        """Return once a record is told and stored for good. Raises JournalBroken when another record was."""
        await self._end.until_it_has(position)

    async def last_for(self, addressee: str) -> bytes | None:
        """Return the last message that is stored for an addressee, None when there is none."""
        try:
            found = await self._broker.jetstream.get_last_msg(self._name, self._envelopes.subject_of(addressee))
        except NotFoundError:
            return None
        return found.data or b""

    # Sending.

    async def _send(self, bundles: Sequence[Bundle]) -> None:
        missing = [bundle for bundle in bundles if not self.has(bundle.journal_seq, bundle.record_hash)]
        if not missing:
            return
        for chunk in chunks_of(items_of(missing, self._sent_of(missing[0])), self._end.batch_max_messages):
            await self._publish(chunk)
        if not missing[-1].letters:
            await self._end.pass_over(missing)

    def _sent_of(self, bundle: Bundle) -> int:
        """Return how many letters of the next bundle the stream holds already."""
        reached = self.reached
        if reached.complete:
            return 0
        assert reached.position == bundle.position, "a record is finished before the next is begun"
        if reached.of != len(bundle.letters):
            messages = f"{reached.ordinal} of {counted(reached.of, 'message')}"
            raise JournalBroken(
                f"{self.name} holds {messages} of record {bundle.journal_seq}, which make {len(bundle.letters)} here: "
                "another version of the notifier began it and must finish it"
            )
        return reached.ordinal

    async def _publish(self, items: Sequence[Item]) -> None:
        first_seq, is_batch = self._end.last_seq + 1, len(items) > CHAIN_MAX_MESSAGES
        messages = (self._envelopes.batch if is_batch else self._envelopes.all_placed)(first_seq, items)
        await self._end.store(messages, items[-1].reached, whole=is_batch)
        self.tally.told += sum([item.letter.tells for item in items])
