"""One stretch of leading a market: decide what came, keep one record on its way to the journal."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

from events.limits import RECORD_MAX_BYTES
from events.record import GENESIS, Through, join_entries
from events.subjects import GATEWAY
from services.matcher.commit import JournalWriter
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.intake import IntakeReader
from services.matcher.log import Standing
from services.matcher.records import ReadyRecord, RecordBuilder

# In a busy market records follow each other at this distance, where they would come as fast as the disk takes them:
# each costs the broker two flushes, and ledger, notifier and gateway a turn. At 15,000 events/s in batches of 100 that
# takes a tenth of the processor time of everything together. Whoever asks the gateway waits for an answer, and is not
# held up.
GATHER_S: Final = 0.02
GATHER_FROM_BYTES: Final = 32 * 1024
AHEAD_MAX_BYTES: Final = 2 * RECORD_MAX_BYTES


class Shift:
    """What is decided and not committed yet. Ends when the fence is lost: then all of it is void."""

    def __init__(
        self,
        market: str,
        engine: Engine,
        standing: Standing,
        intake: str,
        writer: JournalWriter,
        on_commit: Callable[[ReadyRecord, int, float], None],
        ahead: Sequence[bytes] = (),
    ) -> None:
        """Begin at `standing`; `on_commit` hears of each record, its sequence, and the seconds that it took.

        `ahead` are entries after `standing` that the engine has decided already.
        """
        self.engine = engine
        self._standing = standing
        self._writer = writer
        self._on_commit = on_commit
        self._intake = intake
        self._ahead = list(ahead)
        # What is left of the last message was decided from the stream that it came from.
        self._builder = RecordBuilder(market, standing.intake or intake, standing.hash or GENESIS)
        self._inflight: asyncio.Task[int] | None = None
        self._record: ReadyRecord | None = None
        self._sent_at_s = 0.0
        self._is_waited_for = False

    @property
    def is_idle(self) -> bool:
        """Tell whether everything decided is committed."""
        return self._inflight is None and self._builder.is_empty

    @property
    def gathers_for_s(self) -> float:
        """Return how long the next record still gathers entries, with no other under way."""
        if self._inflight is not None or self._is_waited_for or self.is_full:
            return 0.0
        if self._builder.size_bytes < GATHER_FROM_BYTES:
            return 0.0
        return max(0.0, self._sent_at_s + GATHER_S - time.monotonic())

    @property
    def is_full(self) -> bool:
        """Tell whether so much is decided ahead that a commit must come first."""
        return self._builder.size_bytes >= AHEAD_MAX_BYTES

    async def resume(self, reader: IntakeReader) -> None:
        """Finish the message in whose middle the last record ends."""
        through = self._standing.through
        if through is None:
            return
        state = self.engine.state
        first_index = state.decided[1] + 1 if state.decided[0] == through.seq else 0
        entries = self._ahead + self.engine.finish()
        if self._intake != self._standing.intake:
            await self._go_on_from_another(entries, through)
            return
        if not entries and first_index >= through.events:
            return
        message = await reader.message(through.seq, through.at)
        if first_index < through.events:
            entries += self.engine.process(message, first_index)
        self._builder.add(join_entries(entries), message, through.events, self._rule())

    async def _go_on_from_another(self, entries: list[bytes], through: Through) -> None:
        """Commit what the last message left due, and name the new intake from the next record on.

        The message itself is lost, and with it the events in it that were not decided.
        """
        self._builder.add_due(join_entries(entries), through, self._rule())
        await self.flush()
        self._builder.intake = self._intake

    def decide(self, messages: list[Message]) -> None:
        """Decide messages, in order."""
        for message in messages:
            rule = self._rule()
            self._is_waited_for = self._is_waited_for or message.publisher == GATEWAY
            entries = self.engine.decide(message)
            self._builder.add(entries, message, self.engine.state.position[1] + 1, rule)

    def _rule(self) -> int:
        market = self.engine.state.market
        return 1 if market is None else market.rule_version

    async def start_commit(self) -> None:
        """Send the next record on its way, if none is under way and there is something to commit."""
        if self._inflight is not None or self._builder.is_empty:
            return
        self._record = self._builder.cut()
        self._is_waited_for = self._is_waited_for and not self._builder.is_empty
        self._sent_at_s = time.monotonic()
        self._inflight = asyncio.create_task(self._writer.append(self._record.body, self._record.hash))
        # The task runs, and so the record is written, before anything more is decided.
        await asyncio.sleep(0)

    async def settle(self) -> None:
        """Wait for the record under way. Raises FenceLostError when another matcher has written."""
        if self._inflight is None:
            return
        inflight, record = self._inflight, self._record
        assert record is not None
        # Shielded: a cancelled wait must not leave it open whether the record is committed.
        seq = await asyncio.shield(inflight)
        self._inflight = self._record = None
        self._on_commit(record, seq, time.monotonic() - self._sent_at_s)

    async def settle_if_done(self) -> None:
        """Note the record under way if it has arrived."""
        if self._inflight is not None and self._inflight.done():
            await self.settle()

    async def flush(self) -> None:
        """Commit everything that is decided."""
        while not self.is_idle:
            await self.start_commit()
            await self.settle()

    async def abandon(self) -> None:
        """Let go of what is under way; whether it is committed is found out at the next start."""
        inflight, self._inflight = self._inflight, None
        if inflight is not None:
            inflight.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await inflight
