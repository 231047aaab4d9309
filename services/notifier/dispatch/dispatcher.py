"""The dispatcher: follows the journal from its own position and has each channel tell what the records say."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from events.record import BadRecord, Entry, decode_entry
from events.times import format_time_ns
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Status
from services.bus.journal import FollowedRecord, JournalBroken, JournalFollower, JournalPosition
from services.bus.journal_stream import describe
from services.notifier.channels.nats import NatsChannel
from services.notifier.dispatch.clock import Clock
from services.notifier.dispatch.condition import Pace
from services.notifier.dispatch.courier import Courier
from services.notifier.dispatch.dead_letters import dead_letter_count
from services.notifier.dispatch.draw_notices import DrawNotices
from services.notifier.dispatch.publishing import FactPublisher
from services.notifier.dispatch.routing import Route, waiting_row, waiting_rows
from services.notifier.dispatch.rows import EndpointState, Waiting
from services.notifier.dispatch.store import Store
from services.notifier.dispatch.worker import ChannelWorker
from services.notifier.draw_teller import DrawTeller
from services.notifier.policy.choices import Choices
from services.notifier.policy.draws import TicketChange, ticket_changes
from services.notifier.policy.entries import only_seats, tells_beyond_results
from services.notifier.policy.judge import MarketRules, Suppress, Verdict, judge
from services.notifier.policy.known import Change, KnownMarket, net
from services.notifier.policy.member_choices import choices_after, may_change_choices
from services.notifier.policy.purposes import OPERATOR, Kind, Notice, Purpose, Reason
from services.notifier.policy.quiet import ZoneOf
from services.notifier.policy.reading import USEFUL_FOR_S, Source, notices_of

ENTRIES_AT_A_TIME: Final = 100
STOP_TIMEOUT_S: Final = 5.0
# Each time that something is taken in costs a flush of the disk, for which publishers wait too: at most twenty a
# second, unless so many records have come that one flush serves them anyway.
GATHER_S: Final = 0.05
MANY_RECORDS: Final = 16

_log: Final = logging.getLogger("groupbuy.notifier")


class Line(msgspec.Struct, frozen=True):
    """One channel: its courier, what goes over it, and how fast."""

    courier: Courier
    route: Route
    pace: Pace = Pace()


class DispatchRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the market says, how long each purpose is of use, and from when on decisions are told (None: from now)."""

    market: MarketRules
    useful_for_s: dict[Purpose, int] = {}
    since_ns: int | None = None
    operator_address: str | None = None


class _Read(msgspec.Struct):
    """What a run of records says."""

    notices: list[Notice]
    known: list[Change]
    choosing: list[Entry]
    tickets: list[TicketChange]


class Dispatcher:
    """Notices of one market, on every channel beyond the members' own subjects."""

    def __init__(
        self,
        broker: ServiceBroker,
        market: str,
        user: str,
        store: Store,
        lines: Sequence[Line],
        rules: DispatchRules,
        zone_of: ZoneOf,
        clock: Clock,
        chance: random.Random | None = None,
        results: NatsChannel | None = None,
    ) -> None:
        """Make it ready; `results` is what writes the members' own subjects, None where somebody else does."""
        self._broker = broker
        self._market = market
        self._user = user
        self._store = store
        self._lines = tuple(lines)
        self._takes_results = any(Purpose.RESULT in line.route.purposes for line in self._lines)
        self._rules = rules
        self._zone_of = zone_of
        self._clock = clock
        self._known = KnownMarket()
        self._since_ns = 0
        self._follower: JournalFollower | None = None
        self._broken: str | None = None
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self.publisher = FactPublisher(broker, market, store)
        self.workers = [self._worker(line, chance or random.Random()) for line in self._lines]
        self.draws = None if results is None else DrawTeller(results, store, clock, self._draw_notices, self._has_said)
        self.taken_in = 0
        self._taken_at_s = 0.0

    @property
    def position_seq(self) -> int:
        """The last record whose notices are in the outbox."""
        return self._store.outbox.position.seq

    @property
    def lag(self) -> int:
        """How many messages of the journal are not taken in yet."""
        return 0 if self._follower is None else self._follower.lag

    @property
    def alarm(self) -> str | None:
        """Why nothing is taken in at the moment, or None."""
        return self._broken or (None if self._follower is None else self._follower.alarm)

    def check(self) -> Check:
        """Return how taking in goes, for Health."""
        if self._broken is not None:
            return Check(Status.UNHEALTHY, self._broken)
        if self._follower is None:
            return Check(Status.OK, "the dispatcher is starting")
        return self._follower.check()

    def check_channels(self) -> Check:
        """Return how the channels are doing; a channel that is down is no fault of the notifier."""
        told = [
            f"{worker.name} is switched off: {worker.condition.state.why}"
            if worker.condition.state.disabled_at_ns is not None
            else f"{worker.name}: {worker.condition.trouble}"
            for worker in self.workers
            if worker.condition.trouble is not None or worker.condition.state.disabled_at_ns is not None
        ]
        if self.draws is not None and self.draws.trouble is not None:
            told.append(f"a draw cannot be told: {self.draws.trouble}")
        if self.publisher.trouble is not None:
            told.append(f"facts are not published: {self.publisher.trouble}")
        return Check(Status.DEGRADED, "; ".join(told)) if told else Check(Status.OK, "every channel works")

    async def start(self) -> None:
        """Begin in the background; what breaks it for good is told by `alarm`."""
        assert not self._tasks, "a dispatcher is started once"
        outbox = self._store.outbox
        begun_at_ns = await self._store.do(lambda: outbox.begun_at_ns(self._clock.now_ns()))
        self._since_ns = self._rules.since_ns if self._rules.since_ns is not None else begun_at_ns
        await self._remember()
        channels = [line.courier.name for line in self._lines]
        buried = await self._store.do(lambda: outbox.bury_strangers(channels, self._clock.now_ns()))
        if buried:
            _log.warning("%d notices are dead letters now: their channels are not configured any more", buried)
        self._tasks = [
            asyncio.create_task(self._follow(), name=f"notifier dispatch {self._market}"),
            asyncio.create_task(self.publisher.run(), name=f"notifier facts {self._market}"),
            *(asyncio.create_task(worker.run(), name=f"notifier {worker.name}") for worker in self.workers),
        ]
        if self.draws is not None:
            self._tasks.append(asyncio.create_task(self.draws.run(), name=f"notifier draws {self._market}"))

    async def stop(self) -> None:
        """Stop; what is on the way is sent again after the next start, unless it has been written down."""
        self._ending = True
        if self._follower is not None:
            await self._follower.stop()
        self.publisher.stop()
        if self.draws is not None:
            self.draws.stop()
        tasks, self._tasks = self._tasks, []
        for worker in self.workers:
            worker.end()
        if tasks:
            # They end by themselves. One that is cancelled while it waits for the disk takes with it what it was
            # about to write down.
            _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for worker in self.workers:
            await worker.stop()

    def _has_said(self) -> None:
        self.publisher.wake()
        self.wake()

    def wake(self) -> None:
        """Have every channel look for something to send: the clock or the outbox has changed."""
        for worker in self.workers:
            worker.wake()

    # Taking in.

    async def _follow(self) -> None:
        try:
            follower = JournalFollower(
                self._broker, self._market, self._user, self._store.outbox.position, self._take_in
            )
            await follower.start()
            self._follower = follower
            if self._ending:
                # It began while the rest was stopping, and nobody else knows of it.
                await follower.stop()
        # Nobody waits for this task: what ends it must be seen in the health.
        except Exception as error:  # noqa: BLE001
            self._broken = f"the dispatcher cannot follow the journal: {describe(error)}"
            _log.error("%s", self._broken)

    async def _remember(self) -> None:
        known = KnownMarket()
        await self._store.do(lambda: known.load(iter(self._store.outbox.known_rows())))
        self._known = known

    async def _take_in(self, records: list[FollowedRecord]) -> None:
        if len(records) < MANY_RECORDS:
            await asyncio.sleep(max(0.0, self._taken_at_s + GATHER_S - time.monotonic()))
        self._taken_at_s = time.monotonic()
        try:
            read = await self._read(records)
            await self._store.do(lambda: self._write(records[-1], read))
        except BaseException:
            # What was learned of these records is not on disk: they come again, and must find what was before them.
            await self._remember()
            raise
        self.taken_in += len(read.notices)
        if read.notices:
            self.wake()
        if read.tickets and self.draws is not None:
            self.draws.wake()

    async def _read(self, records: list[FollowedRecord]) -> _Read:
        read = _Read([], [], [], [])
        for record in records:
            for at, raw in enumerate(record.record.entries, start=1):
                try:
                    if not only_seats(raw):
                        self._read_entry(decode_entry(raw), record.seq, read)
                except BadRecord as error:
                    raise JournalBroken(
                        f"record {record.seq} holds an entry that this version of the notifier cannot read: {error}"
                    ) from None
                if at % ENTRIES_AT_A_TIME == 0:
                    await asyncio.sleep(0)
        return read

    def _read_entry(self, entry: Entry, record_seq: int, read: _Read) -> None:
        # Without a channel that takes results, nearly all entries say nothing: reading them would cost six times more.
        if entry.at >= self._since_ns and (self._takes_results or tells_beyond_results(entry)):
            source = Source(entry, record_seq, {**USEFUL_FOR_S, **self._rules.useful_for_s})
            read.notices += notices_of(source, self._known)
        read.known += self._known.learn(entry)
        if may_change_choices(entry):
            read.choosing.append(entry)
        read.tickets += ticket_changes(entry, record_seq)

    def _write(self, last: FollowedRecord, read: _Read) -> None:
        choices = dict[str, Choices]()
        for entry in read.choosing:
            choices_after(entry, choices, self._store.outbox.choices_of)
        routes = [line.route for line in self._lines]
        rows = waiting_rows(read.notices, routes, self._has_address, self._clock.now_ns())
        self._store.outbox.take_in(
            _position(last), list(rows), net(read.known), choices, read.tickets, self._draw_notices().channels_of
        )

    def _draw_notices(self) -> DrawNotices:
        useful_for_s = {**USEFUL_FOR_S, **self._rules.useful_for_s}[Purpose.RESULT]
        routes = tuple(line.route for line in self._lines)
        return DrawNotices(routes, useful_for_s, self._has_address, self._since_ns)

    def _has_address(self, member: str, kind: str) -> bool:
        return self._store.addresses.get(member, kind) is not None

    # What the workers ask.

    def _worker(self, line: Line, chance: random.Random) -> ChannelWorker:
        kind = line.route.address_kind

        def verdict(row: Waiting, choices: Choices, now_ns: int) -> Verdict:
            notice = row.notice
            if notice.purpose is Purpose.INVITATION and notice.group and notice.group not in self._known.groups:
                return Suppress(Reason.PAST_USEFULNESS)
            return judge(row.notice, choices, self._market_rules(), line.courier.rules, self._zone_of, now_ns)

        def address_of(member: str) -> str | None:
            if member == OPERATOR:
                return self._rules.operator_address or ("" if kind is None else None)
            return "" if kind is None else self._store.addresses.get(member, kind)

        return ChannelWorker(
            line.courier,
            self._store,
            self._clock,
            verdict,
            address_of,
            self.publisher.wake,
            self._alert,
            line.pace,
            chance,
        )

    def _market_rules(self) -> MarketRules:
        market = self._rules.market
        return market if market.zone is not None else msgspec.structs.replace(market, zone=self._known.zone)

    def _alert(self, state: EndpointState) -> Sequence[Waiting]:
        """Return what operators are told of a channel that was switched off, on every channel but that one."""
        assert state.disabled_at_ns is not None and state.failing_since_ns is not None, "a channel that was given up"
        notice = Notice(
            decision=f"{state.channel}/{state.disabled_at_ns}",
            member=OPERATOR,
            kind=Kind.ENDPOINT_DISABLED,
            at_ns=state.disabled_at_ns,
            record=self.position_seq,
            useful_until_ns=state.disabled_at_ns + USEFUL_FOR_S[Purpose.OPERATOR_ALERT] * 10**9,
            fields={
                "channel": state.channel,
                "since": format_time_ns(state.failing_since_ns),
                "why": state.why or "",
            },
        )
        routes = [line.route for line in self._lines if line.route.channel != state.channel]
        self.wake()
        return [waiting_row(notice, route, state.disabled_at_ns) for route in routes if route.takes(notice)]

    async def dead_letters(self) -> int:
        """Return how many notices could not be sent."""
        return await self._store.do(lambda: dead_letter_count(self._store.outbox.database))


def _position(record: FollowedRecord) -> JournalPosition:
    return JournalPosition(record.seq, record.hash)
