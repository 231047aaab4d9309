"""The channel of facts about results: who was told on the own subject, as many to a fact as there were.

It tells nothing itself: it follows the channel of the results, and writes down what that has stored for good, with its
own place in the journal, into the dispatcher's outbox, whence facts are published. So a result that is told has its
fact, whatever is killed when; and a fact never comes before its result.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from events.notice import TOLD_MEMBERS_MAX, ToldData, ToldOfRecord
from services.bus.journal import START, JournalPosition
from services.notifier.channels import Bundle, Reached
from services.notifier.channels.nats import NatsChannel
from services.notifier.dispatch.clock import Clock
from services.notifier.dispatch.store import Store
from services.notifier.journal_lookup import JournalLookup

# Records that say nothing are read again after a restart: at most as many.
SILENT_MAX_RECORDS: Final = 256


class ToldFacts:
    """Writes facts about what `results` has stored."""

    def __init__(self, name: str, results: NatsChannel, journal: JournalLookup, store: Store, clock: Clock) -> None:
        self._name = name
        self._results = results
        self._journal = journal
        self._store = store
        self._clock = clock
        self._reached = Reached(START)
        self._silent_records = 0

    @property
    def name(self) -> str:
        """The stream that the facts go to."""
        return self._name

    @property
    def reached(self) -> Reached:
        """The last record whose results have their facts."""
        return self._reached

    @property
    def conflicts(self) -> int:
        """None ever: an outbox has one process that writes it."""
        return 0

    async def open(self) -> None:
        """Learn from the outbox how far it has come; a new one begins where the results are, once they are open."""
        noted = await self._store.do(self._store.outbox.told_position)
        if noted is None:
            noted = await self._beginning()
            await self._store.do(lambda: self._store.outbox.tell([], noted))
        await self._journal.check(noted, self._name)
        self._reached = Reached(noted)

    async def _beginning(self) -> JournalPosition:
        reached = self._results.reached
        if reached.complete:
            return reached.position
        return await self._journal.position_at(reached.position.seq - 1)

    def has(self, journal_seq: int, record_hash: str) -> bool:
        """Tell whether a record is dealt with; whether it is the right one was asked by the other channels."""
        del record_hash
        return journal_seq <= self._reached.position.seq

    async def deliver(self, bundles: Sequence[Bundle]) -> None:
        """Write down who was told, once it is stored for good. Raises sqlite3.Error when the disk does not take it."""
        missing = [bundle for bundle in bundles if not self.has(bundle.journal_seq, bundle.record_hash)]
        if not missing:
            return
        position = missing[-1].position
        await self._results.until_it_has(position)
        at_ns = self._clock.now_ns()
        facts = [ToldData(at_ns=at_ns, as_of=told[-1].record, told=told) for told in _facts(missing)]
        self._silent_records = 0 if facts else self._silent_records + len(missing)
        if facts or self._silent_records >= SILENT_MAX_RECORDS:
            await self._store.do(lambda: self._store.outbox.tell(facts, position))
            self._silent_records = 0
        self._reached = Reached(position)

    async def renew(self) -> None:
        """Do nothing: the outbox does not forget."""


def _facts(bundles: Sequence[Bundle]) -> Iterator[list[ToldOfRecord]]:
    """Yield who was told by record, as many as one fact holds."""
    told: list[ToldOfRecord] = []
    room = TOLD_MEMBERS_MAX
    for bundle in bundles:
        members = list(dict.fromkeys([letter.addressee for letter in bundle.letters]))
        while members:
            page, members = members[:room], members[room:]
            told.append(ToldOfRecord(record=bundle.journal_seq, members=page))
            room -= len(page)
            if not room:
                yield told
                told, room = [], TOLD_MEMBERS_MAX
    if told:
        yield told
