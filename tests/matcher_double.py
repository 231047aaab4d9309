"""A test double of the matcher alone: it reads a real intake and answers every event in a real journal.

Its rules are three: an event it can read is `member.noted`, the same again `duplicate`, the rest `malformed`.
"""

import asyncio

import msgspec
from nats.js import api

from events import decisions as d
from events import subjects
from events.decode import NamesAPerson, Unreadable, decode_archived, decode_event, split_message
from events.record import GENESIS, Entry, decode_entry, decode_record, entry_id, hash_bytes
from events.registry import AnyEvent
from tests.journal_writer import AT_NS, MARKET, JournalWriter


class MatcherDouble:
    """Decides the intake as the user of the writer's client, from the beginning on, until stopped."""

    def __init__(self, writer: JournalWriter, market: str = MARKET) -> None:
        self.writer = writer
        self.market = market
        self.bodies: list[bytes] = []
        self.batch_max = 200
        self.deciding = asyncio.Event()
        self.deciding.set()
        self._decided_seq = 0
        self._known: dict[tuple[str, str, str], str] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def recover(self, bodies: list[bytes]) -> None:
        """Go on from the records of a journal, as a matcher does after a crash."""
        self.writer.written = [hash_bytes(body) for body in bodies]
        self.writer.prev = self.writer.written[-1] if bodies else GENESIS
        self._known.clear()
        for body in bodies:
            record = decode_record(body)
            self._decided_seq = record.through.seq
            for entry in map(decode_entry, record.entries):
                if entry.event is not None:
                    self._remember(decode_archived(bytes(entry.event)), entry)

    async def _run(self) -> None:
        js = self.writer.client.jetstream(timeout=10)
        subscription = await js.subscribe(
            f"{subjects.PREFIX}.{self.market}.intake.>",
            stream=subjects.intake_stream(self.market),
            config=api.ConsumerConfig(
                ack_policy=api.AckPolicy.NONE,
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._decided_seq + 1,
            ),
        )
        while True:
            messages = [await subscription.next_msg(timeout=None)]
            while subscription.pending_msgs and len(messages) < self.batch_max:
                messages.append(await subscription.next_msg(timeout=None))
            self.bodies += [message.data for message in messages]
            await self.deciding.wait()
            entries: list[Entry] = []
            for message in messages:
                self._decided_seq = int(message.reply.split(".")[5])
                entries += self._decide(self._decided_seq, message.subject, message.data)
            await self.writer.append(entries)

    def _decide(self, seq: int, subject: str, body: bytes) -> list[Entry]:
        publisher = subjects.parse_intake(subject)[0]
        try:
            raws = split_message(body)
        except Unreadable as fault:
            return [self._malformed(seq, 0, publisher, body, fault)]
        return [self._decide_one(seq, index, publisher, raw) for index, raw in enumerate(raws)]

    def _decide_one(self, seq: int, index: int, publisher: str, raw: bytes) -> Entry:
        try:
            event, _ = decode_event(raw)
        except Unreadable as fault:
            return self._malformed(seq, index, publisher, raw, fault)
        except NamesAPerson as person:
            event = person.event
        if isinstance(event.publisher, str):
            publisher = event.publisher
        decision: d.AnyDecision = d.MemberNoted(member="m")
        original = self._known.get((publisher, event.source, event.id))
        if original is not None:
            decision = d.Duplicate(of=original, original="member.noted")
        entry = Entry(
            seq=seq,
            index=index,
            part=0,
            at=AT_NS + seq,
            publisher=publisher,
            event=msgspec.Raw(raw),
            decisions=[decision],
        )
        self._remember(event, entry)
        return entry

    def _remember(self, event: AnyEvent, entry: Entry) -> None:
        key = (str(entry.publisher), event.source, event.id)
        self._known.setdefault(key, entry_id(entry.seq, entry.index, entry.part))

    def _malformed(self, seq: int, index: int, publisher: str, raw: bytes, fault: Unreadable) -> Entry:
        decision = d.Malformed(why=fault.fault, detail=fault.detail, size_bytes=len(raw), keyed_hash="0" * 64)
        return Entry(seq=seq, index=index, part=0, at=AT_NS + seq, publisher=publisher, decisions=[decision])
