"""The one clock of the dispatcher, so that tests can move time instead of waiting for it."""

import asyncio
import contextlib
import time
from typing import Final, Protocol

from events.times import NS_PER_S

LOOK_AGAIN_S: Final = 60.0
"""A sleeper looks at the clock at least this often: the system's clock may be set meanwhile."""


class Clock(Protocol):
    """What time it is, and waiting for another."""

    def now_ns(self) -> int:
        """Return the time in ns since 1970."""
        ...

    async def wait(self, until_ns: int | None, woken: asyncio.Event) -> None:
        """Return at `until_ns` or later (None: never by itself), or once `woken` is set."""
        ...


class SystemClock:
    """The time of this machine."""

    def now_ns(self) -> int:
        """Return the time in ns since 1970."""
        return time.time_ns()

    async def wait(self, until_ns: int | None, woken: asyncio.Event) -> None:
        """Return at `until_ns` or later, once `woken` is set, or after a minute, whichever comes first."""
        left_s = LOOK_AGAIN_S if until_ns is None else min(LOOK_AGAIN_S, (until_ns - self.now_ns()) / NS_PER_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), max(0.0, left_s))
