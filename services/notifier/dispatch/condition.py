"""How one channel is doing: working, paused as a whole, failing since when, or given up, and operators told."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from events.times import NS_PER_S, format_time_ns
from services.notifier.dispatch.clock import Clock
from services.notifier.dispatch.dead_letters import endpoint_states, write_endpoint
from services.notifier.dispatch.rows import EndpointState, Waiting
from services.notifier.dispatch.store import Store

PAUSE_MIN_S: Final = 1.0
PAUSE_MAX_S: Final = 300.0
WHY_MAX_CHARS: Final = 300

_log: Final = logging.getLogger("groupbuy.notifier")

Alert = Callable[[EndpointState], Sequence[Waiting]]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a channel may go, and after how long in vain it is given up (None: never)."""

    per_s: float | None = None
    give_up_after_s: float | None = None


class Condition:
    """The condition of a channel, on disk as far as it must outlive a restart."""

    def __init__(
        self, channel: str, store: Store, clock: Clock, pace: Pace, alert: Alert, said: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._store = store
        self._clock = clock
        self._pace = pace
        self._alert = alert
        self._said = said
        self._pause_s = 0.0
        self.state = EndpointState(channel=channel)
        self._paused_at_ns = 0
        self._paused_until_ns = 0
        self.pauses = 0
        self.trouble: str | None = None

    @property
    def is_on_trial(self) -> bool:
        """Whether the channel was down as a whole and has not worked since."""
        return self._pause_s > 0

    def read(self) -> None:
        """Read what stands on disk, where operators may have changed it; in the thread of the store."""
        self.state = endpoint_states(self._store.outbox.database).get(
            self._channel, EndpointState(channel=self._channel)
        )

    def pause(self, after_s: float | None) -> None:
        """Have nothing sent for a while, at least as long as the other side asks."""
        self._pause_s = min(PAUSE_MAX_S, max(PAUSE_MIN_S, 2 * self._pause_s))
        pause_s = max(self._pause_s, after_s or 0.0)
        now_ns = self._clock.now_ns()
        longer_ns = self.paused_until_ns(now_ns) or 0
        self._paused_at_ns, self._paused_until_ns = now_ns, max(longer_ns, now_ns + int(pause_s * NS_PER_S))
        self.pauses += 1

    def paused_until_ns(self, now_ns: int) -> int | None:
        """Return until when nothing is to be sent, None when something may be."""
        # A clock that was set back by an hour must not make an hour of it.
        return self._paused_until_ns if self._paused_at_ns <= now_ns < self._paused_until_ns else None

    async def works(self) -> None:
        """Note that a message was taken."""
        self.trouble, self._pause_s = None, 0.0
        if self.state.failing_since_ns is not None:
            await self._note(EndpointState(channel=self._channel))

    async def fails(self, why: str) -> None:
        """Note that a message was not taken; after too long the channel is given up."""
        self.trouble = why
        now_ns, since_ns = self._clock.now_ns(), self.state.failing_since_ns
        if since_ns is None:
            state = EndpointState(channel=self._channel, failing_since_ns=now_ns, why=why[:WHY_MAX_CHARS])
            await self._note(state)
            return
        limit_s = self._pace.give_up_after_s
        if limit_s is not None and now_ns - since_ns >= limit_s * NS_PER_S:
            await self.give_up(f"nothing has got through since {format_time_ns(since_ns)}; the last: {why}")

    async def give_up(self, why: str) -> None:
        """Switch the channel off and tell operators."""
        if self.state.disabled_at_ns is not None:
            return
        now_ns = self._clock.now_ns()
        state = EndpointState(
            channel=self._channel,
            failing_since_ns=self.state.failing_since_ns or now_ns,
            disabled_at_ns=now_ns,
            why=why[:WHY_MAX_CHARS],
        )
        _log.error("the channel %s is switched off: %s", self._channel, why)
        await self._note(state, self._alert(state))

    async def _note(self, state: EndpointState, alert: Sequence[Waiting] = ()) -> None:
        self.state = state
        await self._store.do(lambda: write_endpoint(self._store.outbox.database, state, alert))
        if alert:
            self._said()
