"""The event loop of a simulation: asyncio's own, over a clock that jumps and a network that is not there."""

import asyncio
import contextvars
from asyncio import base_events
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar
from unittest import mock

T = TypeVar("T")
BEGIN_S: Final = 1_000.0
"""What the monotonic clock says when a simulation begins."""
BEGIN_NS: Final = 1_767_225_600_000_000_000
"""What the wall clock says then: 2026-01-01."""


class Node(Protocol):
    """A simulated process: its tasks run in a context that names it."""

    name: str

    @property
    def is_dead(self) -> bool:
        """Tell whether it was killed: nothing it still does reaches network or disk."""
        ...

    @property
    def is_paused(self) -> bool:
        """Tell whether it was stopped, and will go on where it stands."""
        ...

    def defer(self, call: Callable[[], None]) -> None:
        """Keep a callback for when it goes on."""
        ...

    def wall_ns(self, true_ns: int) -> int:
        """Return what its wall clock says at a time."""
        ...

    def connect(self, protocol: asyncio.Protocol, host: str, port: int) -> "asyncio.Future[asyncio.Transport]":
        """Connect to a simulated address."""
        ...

    def disk(self, call: Callable[[], T]) -> T:
        """Do blocking work, which is work on a disk. Raises OSError as a disk does."""
        ...


NODE: Final[contextvars.ContextVar[Node | None]] = contextvars.ContextVar("node", default=None)


class KilledError(Exception):
    """The node died while, or just after, it wrote to its disk."""


class DeadlockError(AssertionError):
    """Nothing is left that could ever happen."""


class _NoSelector:
    """In place of waiting for sockets, time passes."""

    def __init__(self, loop: "SimulationLoop") -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None:
            raise DeadlockError("every task waits for something that nobody will do")
        if timeout_s > 0:
            self._loop.now_s += timeout_s
        return []

    def close(self) -> None:
        """Nothing is open."""


class SimulationLoop(base_events.BaseEventLoop):
    """Runs callbacks in a fixed order; `now_s` jumps to the next one's time whenever all are waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = BEGIN_S
        self._selector = _NoSelector(self)
        self._clock_resolution = 1e-9
        self.turns = 0

    def time(self) -> float:
        """Return the simulated monotonic time in seconds."""
        return self.now_s

    def now_ns(self) -> int:
        """Return the simulated true time in ns since 1970."""
        return BEGIN_NS + int((self.now_s - BEGIN_S) * 1_000_000_000)

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]  # asyncio does not type its own insides

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list, "there are no sockets"

    def _write_to_self(self) -> None:
        """Nobody waits in a system call that had to be interrupted."""

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        """Call in the next turn, unless the node that it belongs to is dead by then."""
        context = contextvars.copy_context() if context is None else context
        node = context.get(NODE)
        if node is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(_as_node, self, node, callback, args, context, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at a time of this loop, likewise."""
        context = contextvars.copy_context() if context is None else context
        node = context.get(NODE)
        if node is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, _as_node, self, node, callback, args, context, context=context)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Connect the node of the running task over the simulated network."""
        protocol = protocol_factory()
        node = NODE.get()
        assert node is not None, "only nodes connect"
        transport = await node.connect(protocol, host, port)
        return transport, protocol

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        """Do the blocking call at once, in this thread, on the node's disk."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        node = NODE.get()
        try:
            found = func(*args) if node is None else node.disk(lambda: func(*args))
        except KilledError:
            return future  # which nobody will ever complete
        except Exception as error:  # noqa: BLE001  # an executor hands every error to whoever waits
            future.set_exception(error)
        else:
            future.set_result(found)
        return future


def _as_node(
    loop: SimulationLoop,
    node: Node,
    callback: Callable[..., object],
    args: tuple[Any, ...],
    context: contextvars.Context,
) -> None:
    """Do what a process would do now: nothing when it is dead, later when it is stopped.

    What a killed process was doing simply never goes on, as after kill -9: no handler and no `finally` runs.
    """
    if node.is_dead:
        return
    if node.is_paused:
        node.defer(lambda: loop.call_soon(callback, *args, context=context))
        return
    callback(*args)


@contextmanager
def simulated_time(loop: SimulationLoop) -> Iterator[None]:
    """Have everything that asks the time module be told the simulated time, each node by its own clock."""

    def wall_ns() -> int:
        node = NODE.get()
        return loop.now_ns() if node is None else node.wall_ns(loop.now_ns())

    def wall_s() -> float:
        return wall_ns() / 1e9

    with (
        mock.patch("time.monotonic", loop.time),
        mock.patch("time.perf_counter", loop.time),
        mock.patch("time.time_ns", wall_ns),
        mock.patch("time.time", wall_s),
    ):
        yield
