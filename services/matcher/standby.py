"""Standing by: a matcher with warm state that decides when nobody else does.

There is no lock and no lease. Who stands by applies each record as it comes. When there is undecided intake and the
journal stays silent for a moment, it decides; whether it was right to is for the fence to say, and who loses reads
the journal anew and stands by. The moment is drawn by chance and doubles with each loss, so that two do not duel.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

import nats.errors

from services.bus.connect import ServiceBroker
from services.bus.health import Check
from services.bus.journal import JournalBroken, JournalFollower, JournalPosition
from services.matcher.intake import IntakeReader
from services.matcher.log import LogBroken
from services.matcher.recovery import Recovered
from services.matcher.ticking import Ticker

LOOK_S: Final = 0.1
"""How often it looks whether it is its turn; the broker is asked only while the journal is silent."""
LOOK_IDLE_S: Final = 0.25
SILENT_S: Final = 0.2
"""A journal that grows says enough: for so long after a record the broker is not asked."""
AFTER_LOSS_S: Final = 0.5
"""Patience of a matcher that leads at once, after it has lost a fence: then it is not alone."""
DOUBLINGS_MAX: Final = 5

_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_log: Final = logging.getLogger("groupbuy.matcher.standby")


class Patience:
    """How long the journal must be silent, with input undecided, before this matcher decides."""

    def __init__(self, standby_s: float) -> None:
        """0 means at once: right for a matcher that is alone, until it loses a fence."""
        self._standby_s = standby_s
        self._losses = 0

    @property
    def is_needed(self) -> bool:
        """Tell whether this matcher stands by at all before it decides."""
        return self._standby_s > 0 or self._losses > 0

    def draw_s(self) -> float:
        """Draw how long to wait this time: once to twice the usual, doubled for each loss in a row."""
        usual_s = self._standby_s or AFTER_LOSS_S
        doublings = min(max(0, self._losses - 1), DOUBLINGS_MAX)
        return usual_s * random.uniform(1.0, 2.0) * 2.0**doublings

    def lost(self) -> None:
        """Note that somebody else was faster."""
        self._losses += 1

    def won(self) -> None:
        """Note a record of one's own."""
        self._losses = 0


class Standby:
    """One stretch of standing by, from a recovered state to the moment when it is this matcher's turn."""

    def __init__(
        self, broker: ServiceBroker, market: str, user: str, reader: IntakeReader, recovered: Recovered, wait_s: float
    ) -> None:
        """Follow on from `recovered`; `wait_s` is how long the journal must be silent with input undecided."""
        position = JournalPosition(recovered.standing.seq, recovered.standing.hash)
        self._follower = JournalFollower(broker, market, user, position, recovered.apply)
        self._ticker = Ticker(broker, market)
        self._market = market
        self._reader = reader
        self._recovered = recovered
        self._wait_s = wait_s
        self._moved_at_s = time.monotonic()
        self._seen_seq = recovered.standing.seq
        self._looked_at_s = 0.0
        self._owing_since_s: float | None = None

    def check(self) -> Check:
        """Return how following the journal goes, for Health."""
        return self._follower.check()

    async def wait(self, is_ending: Callable[[], bool], rest: Callable[[bool], None]) -> bool:
        """Follow the journal until it is this matcher's turn; tell whether it is, or the end is asked for.

        `rest` is called whenever the state is that after a whole record, with whether all known ones are applied.
        Raises LogBroken when the journal cannot be read on or holds what this version would not have decided.
        """
        try:
            await self._follower.start()
            while not is_ending():
                if self._follower.broken is not None:
                    raise LogBroken(str(self._follower.broken))
                if self._recovered.is_whole:
                    rest(self._follower.lag == 0)
                if await self._is_our_turn():
                    return True
                await asyncio.sleep(LOOK_S)
        except JournalBroken as broken:
            raise LogBroken(str(broken)) from None
        finally:
            await self._follower.stop()
        return False

    async def _is_our_turn(self) -> bool:
        now_s = time.monotonic()
        if self._recovered.standing.seq != self._seen_seq:
            self._seen_seq, self._moved_at_s = self._recovered.standing.seq, now_s
            self._owing_since_s = None
        if self._follower.lag or self._follower.alarm or now_s - self._moved_at_s < SILENT_S:
            return False
        if now_s - self._looked_at_s < (LOOK_IDLE_S if self._owing_since_s is None else LOOK_S):
            return False
        self._looked_at_s = now_s
        if not await self._is_owed():
            self._owing_since_s = None
            await self._ticker.tick_if_due(self._recovered.engine, self._wait_s)
            return False
        if self._owing_since_s is None:
            self._owing_since_s = now_s
        if now_s - max(self._owing_since_s, self._moved_at_s) < self._wait_s:
            return False
        _log.info(
            "market %s: input is undecided and the journal has been silent for %.1f s after record %d: deciding",
            self._market,
            now_s - self._moved_at_s,
            self._seen_seq,
        )
        return True

    async def _is_owed(self) -> bool:
        """Tell whether there is input that no record covers; what is due alone is knocked for."""
        try:
            await self._reader.look()
        except _AWAY:
            # Nobody could decide now.
            return False
        standing, state = self._recovered.standing, self._recovered.engine.state
        if self._reader.last_seq > standing.through_seq or self._recovered.ahead:
            return True
        through = standing.through
        if through is None:
            return False
        return state.decided[0] < through.seq or state.decided[1] + 1 < through.events
