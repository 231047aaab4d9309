"""Simulated processes: each runs one production service in a context of its own, on a disk of its own."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.simulation.loop import NODE, KilledError, SimulationLoop
from tests.simulation.network import Network

T = TypeVar("T")


class SimulatedNode:
    """One process, from its start until it ends or is killed; a restart makes another one."""

    def __init__(self, name: str, loop: SimulationLoop, network: Network, before_disk: Callable[[str], None]) -> None:
        self.name = name
        self._loop = loop
        self._network = network
        self._before_disk = before_disk
        self.is_dead = False
        self.is_paused = False
        self.clock_skew_ns = 0
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

    def disk(self, call: Callable[[], T]) -> T:
        """Do blocking work; a killed node's never happens, and the simulation may kill it just before or after."""
        if self.is_dead:
            raise KilledError
        self._before_disk(self.name)
        if self.is_dead:
            raise KilledError
        return call()
