"""Simulated processes: each runs one production service in a context of its own, on a disk of its own."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from tests.simulation.loop import NODE, KilledError, SimulationLoop
from tests.simulation.network import Network

T = TypeVar("T")
Disk = Callable[[str], AbstractContextManager[None]]
"""What a node's work on its disk is done in: there the disk fails."""


def sound_disk(_: str) -> AbstractContextManager[None]:
    """Return a disk that never fails."""
    return nullcontext()


class SimulatedNode:
    """One process, from its start until it ends or is killed; a restart makes another one."""

    def __init__(self, name: str, loop: SimulationLoop, network: Network, disk: Disk) -> None:
        self.name = name
        self._loop = loop
        self._network = network
        self._disk = disk
        self.is_dead = False
        self.is_paused = False
        self.clock_skew_ns = 0
        self.frozen_ns: int | None = None
        """What its wall clock says while it stands still."""
        self._deferred: list[Callable[[], None]] = []
        self.error: BaseException | None = None
        self.matcher: Any = None
        self.dispatcher: Any = None
        self.on_end: Callable[[], None] = lambda: None
        self.when_dead: list[Callable[[], None]] = []
        """What others do once it is dead: whoever waits for its answer hears that it is gone."""

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin the process with `main`."""
        context = contextvars.copy_context()
        context.run(NODE.set, self)
        task = self._loop.create_task(main(), context=context)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self.error = task.exception()
        self.kill()

    def kill(self) -> None:
        """End at once, as kill -9 does: nothing that it was doing goes on, nothing it holds is given back."""
        if self.is_dead:
            return
        self.is_dead = True
        self._deferred.clear()
        for link in self._network.links.all():
            if link.node is self:
                link.cut()
        for call in self.when_dead:
            call()
        self.on_end()

    def pause(self) -> None:
        """Stop, as SIGSTOP does."""
        self.is_paused = True

    def go_on(self) -> None:
        """Go on where it stood."""
        self.is_paused = False
        deferred, self._deferred = self._deferred, []
        for call in deferred:
            call()

    # What the loop asks

    def defer(self, call: Callable[[], None]) -> None:
        """Keep a callback for when it goes on."""
        self._deferred.append(call)

    def connect(self, protocol: asyncio.Protocol, host: str, port: int) -> "asyncio.Future[asyncio.Transport]":
        """Connect over the simulated network."""
        del host, port
        return self._network.connect(self, protocol)

    def wall_ns(self, true_ns: int) -> int:
        """Return what its wall clock says at a time."""
        return true_ns + self.clock_skew_ns if self.frozen_ns is None else self.frozen_ns

    def disk(self, call: Callable[[], T]) -> T:
        """Do blocking work on the node's disk; a killed node's never happens."""
        if self.is_dead:
            raise KilledError
        with self._disk(self.name):
            return call()
