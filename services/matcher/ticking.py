"""The clock's knock: when a deadline is due and nothing else comes, the matcher sends itself an event.

It carries no time. The broker's timestamp of the message counts, so that a matcher with a wrong clock can only
knock too early or too late, never decide too early.
"""

import asyncio
import logging
import time
from typing import Final

import nats.errors

from events import subjects
from events.times import NS_PER_S, format_time_ns
from services.bus.connect import ServiceBroker
from services.matcher.domain.engine import Engine

PAUSE_MIN_S: Final = 0.05
PAUSE_MAX_S: Final = 5.0
ACK_TIMEOUT_S: Final = 2.0
_log: Final = logging.getLogger("groupbuy.matcher.clock")


class Ticker:
    """Knocks once for each moment at which something is due, again with growing pauses if that was too early."""

    def __init__(self, broker: ServiceBroker, market: str) -> None:
        """Make a ticker for `market`."""
        self._broker = broker
        self._subject = subjects.intake(market, subjects.MATCHER, "clock")
        self._knocked_for = 0
        self._pause_s = PAUSE_MIN_S
        self._not_before_s = 0.0
        self._count = 0

    def wait_s(self, engine: Engine) -> float:
        """Return how long until a knock may be needed, in seconds."""
        due_ns = _due_ns(engine)
        if due_ns is None:
            return 3_600.0
        until_due_s = (due_ns - time.time_ns()) / NS_PER_S
        return max(0.001, until_due_s, self._not_before_s - time.monotonic())

    async def tick_if_due(self, engine: Engine, late_s: float = 0.0) -> None:
        """Knock if a deadline is due by this machine's clock, since `late_s`, and the last knock was not just now."""
        due_ns = _due_ns(engine)
        now_s = time.monotonic()
        if due_ns is None or time.time_ns() < due_ns + int(late_s * NS_PER_S) or now_s < self._not_before_s:
            return
        self._pause_s = PAUSE_MIN_S if due_ns != self._knocked_for else min(2 * self._pause_s, PAUSE_MAX_S)
        self._knocked_for = due_ns
        self._not_before_s = now_s + self._pause_s
        self._count += 1
        body = (
            f'{{"type":"groupbuy.clock.ticked.v1","specversion":"1.0","id":"tick-{time.time_ns()}-{self._count}",'
            f'"source":"/matcher","time":"{format_time_ns(time.time_ns())}","data":{{}}}}'
        )
        try:
            await self._broker.jetstream.publish(self._subject, body.encode(), timeout=ACK_TIMEOUT_S)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            # The next look knocks again.
            _log.warning("cannot knock: %s", str(error) or type(error).__name__)
            await asyncio.sleep(0)


def _due_ns(engine: Engine) -> int | None:
    market = engine.state.market
    if market is None or market.clock != "broker":
        return None
    return engine.next_due_ns()
