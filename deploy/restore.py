"""`groupbuy ledger restore`: a market's streams from its ledger, after the broker's disk was lost.

What is still there is kept: only what is missing is made anew. The journal becomes what it was, byte for byte and at
the same sequences, under its old identity. The intake cannot: what it held after the last archived message is gone, so
the new one has an identity of its own, begins after that message, and its first message is an operator's act that
says so. Without that act no matcher decides from it. An interrupted restoration is done again and goes on.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client

from deploy.broker import EmbeddedBroker
from deploy.identity import ensure_identities, known_publishers
from deploy.nodes import NODES, check_kind, is_cluster, make_nodes, running_nodes
from deploy.permissions import MATCHER, NOTIFIER, OPERATOR, PROVISIONER
from deploy.provision import StreamLimits, provision
from deploy.reach import close_quietly, connect_as
from deploy.restore_aside import PutAside
from deploy.restore_streams import UNFINISHED, Found, Left, Streams, fill_journal, mark_output
from deploy.stack_files import StackError, data_lock
from events import subjects
from events.counted import counted
from events.decode import decode_archived
from events.market import MarketRestored, MarketRestoredEvent
from events.record import decode_entry, decode_record, entry_id
from events.times import format_time_ns
from events.undecodable import UNDECODABLE
from services.ledger.archive import StoredRecord
from services.ledger.chain import Tip, tip_after
from services.ledger.faults import LedgerBroken
from services.ledger.store import LedgerStore

SOURCE: Final = "//groupbuy/restore"
Progress = Callable[[int, int], None]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who restores, why, and under which ticket; recorded in the log where the intake is made anew."""

    actor: str
    reason: str
    ticket: str


class Restored(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was done to each stream, up to where everything is there again, and all that can be missing."""

    market: str
    record: int
    entry: str
    intake_message: int
    accepted_at: str
    streams: dict[str, str]
    nothing_missing: bool
    lost_events: int
    may_be_missing: list[str]
    snapshots_set_aside: list[str] = []
    outbox_set_aside: str | None = None


class Restoration:
    """One market's restoration over a data folder whose stack does not run."""

    def __init__(
        self, store: LedgerStore, data: Path, act: Act, *, replace: bool, progress: Progress, cluster: bool = False
    ) -> None:
        """With `replace` streams are deleted that hold something else than what the ledger knows.

        With `cluster` the embedded broker is one of three nodes, also where there is none yet.
        """
        tip = store.tip
        if tip is None:
            raise StackError(f"the ledger of market {store.market} is empty: there is nothing to restore")
        self._store = store
        self._tip = tip
        self._data = data
        self._act = act
        self._replace = replace
        self._is_cluster = cluster or is_cluster(data)
        self._limits = StreamLimits(replicas=NODES if self._is_cluster else 1)
        self._progress = progress
        self._market = store.market
        self._done: dict[str, str] = {}
        self._missing: list[str] = []
        self._lost_events = 0

    async def run(self, nats_url: str | None) -> Restored:
        """Restore over the embedded broker, or over the one at `nats_url`. Raises StackError when it must not be."""
        with data_lock(self._data):
            publishers = known_publishers(self._data)
            ensure_identities(self._data, publishers)
            async with self._broker(nats_url, publishers) as url, self._connected(url, PROVISIONER) as client:
                streams = Streams(client, self._market, self._limits)
                intake = await self._intake_left(streams)
                journal = await streams.look_at_journal(self._store.identity, self._tip)
                outputs = await self._outputs_left(streams)
                self._check(intake, journal, outputs)
                await self._restore_journal(streams, journal, url)
                await self._restore_outputs(streams, outputs, url)
                await self._restore_intake(streams, intake, url)
                await streams.rename(subjects.journal_stream(self._market), self._store.identity)
                await provision(client, self._market, publishers, self._limits)
            aside = PutAside(self._store, self._tip, self._data)
            aside.run()
        return self._report(aside)

    @contextlib.asynccontextmanager
    async def _broker(self, nats_url: str | None, publishers: list[str]) -> AsyncIterator[str]:
        if nats_url is not None:
            yield nats_url
            return
        if self._is_cluster:
            async with running_nodes(make_nodes(self._data, [self._market], publishers=publishers)) as urls:
                yield urls
            return
        check_kind(self._data, wants_cluster=False)
        async with EmbeddedBroker(self._data, [self._market], publishers=publishers) as broker:
            yield broker.url

    @contextlib.asynccontextmanager
    async def _connected(self, url: str, user: str) -> AsyncIterator[Client]:
        try:
            client = await connect_as(self._data, url, user)
        except (nats.errors.Error, OSError) as error:
            raise StackError(f"the broker at {url} does not take the user {user}: {error}") from None
        try:
            yield client
        finally:
            await close_quietly(client)

    # Looking

    async def _intake_left(self, streams: Streams) -> Found:
        """Return what is left of the intake; one that an earlier restoration made counts as whole."""
        found = await streams.look_at_intake(self._tip)
        if found.left is Left.OTHER:
            first = await streams.first_of_intake(self._tip.through.seq + 1)
            if first is not None and self._is_own_act(*first):
                return Found(Left.UNFINISHED, found.last_seq, found.messages)
        return found

    def _is_own_act(self, identity: str, body: bytes) -> bool:
        try:
            event = decode_archived(body)
        except UNDECODABLE:
            return False
        if not isinstance(event, MarketRestoredEvent):
            return False
        named = (event.data.previous, event.data.intake, event.data.through)
        return named == (self._tip.intake, identity, self._tip.through.seq)

    async def _outputs_left(self, streams: Streams) -> dict[str, Found]:
        """Return what is left of the streams to members and publishers; one that knows more than the ledger is cut."""
        outputs: dict[str, Found] = {}
        for name in (subjects.outcomes_stream(self._market), subjects.results_stream(self._market)):
            found = await streams.look_at_output(name)
            told = await streams.told_through(name) if found.left is Left.WHOLE else None
            if told is not None and told > self._tip.seq:
                self._missing.append(
                    f"{name} was told of records up to {told}: {self._tip.seq + 1} to {told} are not archived"
                )
                found = Found(Left.CUT, found.last_seq, found.messages)
            outputs[name] = found
        return outputs

    def _check(self, intake: Found, journal: Found, outputs: dict[str, Found]) -> None:
        """Refuse what would destroy something that nobody asked to give up."""
        if journal.left is Left.LONGER:
            raise StackError(
                f"the journal holds records after {self._tip.seq} that the ledger has not archived: start the ledger "
                "with this broker first, it archives them by itself"
            )
        found = {
            subjects.journal_stream(self._market): journal,
            subjects.intake_stream(self._market): intake,
            **outputs,
        }
        strange = [name for name, each in found.items() if each.left in (Left.OTHER, Left.CUT)]
        if strange and not self._replace:
            told = ", ".join(
                f"{name} ({found[name].left}, {counted(found[name].messages, 'message')})" for name in strange
            )
            raise StackError(
                f"{told}: the broker holds something else there than what the ledger knows. Nothing was changed. With "
                "--replace they are deleted and made anew: what is in them and not in the ledger is lost then"
            )

    # Making anew

    async def _restore_journal(self, streams: Streams, found: Found, url: str) -> None:
        name = subjects.journal_stream(self._market)
        if found.left is Left.WHOLE:
            self._done[name] = "kept"
            return
        last_seq = found.last_seq
        if found.left is not Left.UNFINISHED:
            await self._delete(streams, name, found)
            await streams.make(name, identity=UNFINISHED + self._store.identity)
            last_seq = 0
        async with self._connected(url, MATCHER) as matcher:
            await fill_journal(matcher, self._market, self._checked_records(last_seq), last_seq)
        self._done[name] = f"made anew with its records up to {self._tip.seq}"

    def _checked_records(self, after: int) -> Iterator[StoredRecord]:
        """Yield the records after a sequence; each must follow the one before, from the first on."""
        tip: Tip | None = None
        for record in self._store.records():
            summary = self._store.summary(record.seq)
            if summary is None:
                raise LedgerBroken(f"record {record.seq}", "the index knows nothing of it: run `verify` first")
            tip, _ = tip_after(tip, self._market, record.seq, summary.hash.hex(), record.body)
            self._progress(tip.entries, max(self._tip.entries, tip.entries))
            if record.seq > after:
                yield record
        if tip is None or tip.hash != self._tip.hash:
            raise LedgerBroken(f"record {self._tip.seq}", "the archive does not end with it: run `verify` first")

    async def _restore_outputs(self, streams: Streams, outputs: dict[str, Found], url: str) -> None:
        """Make the streams to members and publishers; what is archived counts as told, or all of it would be again."""
        for name, found in outputs.items():
            if found.left is Left.WHOLE:
                self._done[name] = "kept"
                continue
            if found.left is not Left.EMPTY:
                await self._delete(streams, name, found)
                await streams.make(name)
            async with self._connected(url, NOTIFIER) as notifier:
                await mark_output(notifier, self._market, name, self._tip.seq, self._tip.hash)
            self._done[name] = f"made anew and empty: counts as told through record {self._tip.seq}"
            self._missing.append(
                f"{name}: what it held is not made again, and what record {self._tip.seq} or one shortly before "
                "said may not have been told yet; publishers that ask again get the original outcome"
            )

    async def _restore_intake(self, streams: Streams, found: Found, url: str) -> None:
        name = subjects.intake_stream(self._market)
        if found.left is Left.WHOLE:
            self._done[name] = "kept"
            return
        self._note_lost_inputs()
        if found.left is not Left.UNFINISHED:
            await self._delete(streams, name, found)
            identity = await streams.make(name, first_seq=self._tip.through.seq + 1)
            async with self._connected(url, OPERATOR) as operator:
                subject = subjects.intake(self._market, OPERATOR, "market")
                headers = {subjects.HEADER_LAST_SEQUENCE: str(self._tip.through.seq)}
                await operator.jetstream().publish(subject, self._act_event(identity), headers=headers)
        self._done[name] = f"made anew, begins with message {self._tip.through.seq + 1}"

    def _act_event(self, identity: str) -> bytes:
        tip = self._tip
        data = MarketRestored(
            previous=tip.intake,
            intake=identity,
            through=tip.through.seq,
            record=tip.seq,
            record_hash=tip.hash,
            lost_events=self._lost_events,
            actor=self._act.actor,
            reason=self._act.reason,
            ticket=self._act.ticket,
        )
        event = MarketRestoredEvent(
            specversion="1.0",
            id=f"restored-{identity}",
            source=SOURCE,
            time=format_time_ns(time.time_ns()),
            data=data,
        )
        return msgspec.json.encode(event)

    async def _delete(self, streams: Streams, name: str, found: Found) -> None:
        if found.left is not Left.NOTHING:
            await streams.delete(name)

    # Telling

    def _note_lost_inputs(self) -> None:
        tip = self._tip
        self._lost_events = self._undecided_of_last_message()
        at = format_time_ns(tip.through.at)
        if self._lost_events:
            events = counted(tip.through.events, "event")
            self._missing.insert(0, f"the last {self._lost_events} of the {events} of intake message {tip.through.seq}")
        self._missing.insert(
            0,
            f"events that the broker acknowledged after intake message {tip.through.seq} ({at}): their publishers send "
            "them again, and what is archived of them gets its original outcome; an outcome told of a lost one "
            f"does not hold, and its entry's name, after {entry_id(*tip.position)}, may be another's from now on",
        )

    def _undecided_of_last_message(self) -> int:
        """Return how many events of the last message have no outcome: they were acknowledged, and are lost with it."""
        seq, index, _ = self._tip.position
        first = self._store.record_at((seq, index, 0))
        assert first is not None, "the last entry stands in a record"
        entries = (decode_entry(raw) for each in self._store.records(first.record - 1) for raw in _entries(each))
        # What was due before an event may be there without it.
        is_answered = any((e.seq, e.index) == (seq, index) and e.publisher is not None for e in entries)
        return self._tip.through.events - index - is_answered

    def _report(self, aside: PutAside) -> Restored:
        tip, missing = self._tip, [*self._missing, *aside.missing]
        is_intake_kept = self._done[subjects.intake_stream(self._market)] == "kept"
        return Restored(
            market=self._market,
            record=tip.seq,
            entry=entry_id(*tip.position),
            intake_message=tip.through.seq,
            accepted_at=format_time_ns(tip.at_ns),
            streams=self._done,
            nothing_missing=is_intake_kept and not missing,
            lost_events=self._lost_events,
            may_be_missing=missing,
            snapshots_set_aside=aside.snapshots,
            outbox_set_aside=aside.outbox,
        )


def _entries(record: StoredRecord) -> list[msgspec.Raw]:
    return decode_record(record.body).entries
