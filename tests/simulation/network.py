"""The simulated network: connections to one address, with delays, cuts, and bytes that arrive after the cut."""

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Final, Protocol

from tests.simulation.loop import Node, SimulationLoop

DELAY_MIN_S: Final = 0.000_05
DELAY_MEAN_S: Final = 0.000_3
CONNECT_S: Final = 0.001


class ServerSide(Protocol):
    """What a listener makes of a connection."""

    def received(self, data: bytes) -> None:
        """Take bytes from the client."""
        ...

    def lost(self) -> None:
        """The connection is gone."""
        ...


class Link(asyncio.Transport):
    """One connection as its client's transport; the server writes with `send`."""

    def __init__(self, network: "Network", node: Node, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._network = network
        self.node = node
        self._protocol = protocol
        self.server: ServerSide | None = None
        self.is_cut = False
        self._closing = False
        self._up_s = self._down_s = 0.0
        self.held_up = False
        """Bytes from the client are kept back, as in the buffers of a network that is cut off."""
        self._held: list[bytes] = []

    # The client's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes to the server."""
        if self.is_cut or self._closing or self.node.is_dead:
            return
        if self.held_up:
            self._held.append(bytes(data))
            return
        self._up_s = self._network.later(self._up_s, self._arrive, bytes(data))

    def writelines(self, list_of_data: "list[bytes]") -> None:  # type: ignore[override]
        """Send pieces as one."""
        self.write(b"".join(list_of_data))

    def _arrive(self, data: bytes) -> None:
        if self.server is not None:
            self.server.received(data)

    def is_closing(self) -> bool:
        """Tell whether the client is done."""
        return self._closing or self.is_cut

    def close(self) -> None:
        """Close from the client's side, after what was written has arrived."""
        if not self._closing:
            self._closing = True
            self._up_s = self._network.later(self._up_s, self._server_lost)
            self._network.soon(self._client_lost, None)

    def abort(self) -> None:
        """Close at once."""
        self.close()

    def get_write_buffer_size(self) -> int:
        """Return that nothing waits to be sent: the network takes everything."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Need no limits."""

    def pause_reading(self) -> None:
        """Ignore back-pressure of the reader: its buffer is a list."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    # The server's side

    def send(self, data: bytes) -> None:
        """Send bytes to the client."""
        if not self.is_cut and not self._closing:
            self._down_s = self._network.later(self._down_s, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if not self.is_cut and not self._closing and not self.node.is_dead:
            self._protocol.data_received(data)

    # Faults

    def cut(self, late_s: float | None = None) -> None:
        """Break the connection; what the client had sent before may still arrive, `late_s` seconds later."""
        if self.is_cut:
            return
        self.is_cut = True
        if late_s is not None and self._held:
            server, held = self.server, b"".join(self._held)
            if server is not None:
                self._network.after(late_s, server.received, held)
                self._network.after(late_s + DELAY_MIN_S, self._server_lost)
        else:
            self._network.soon(self._server_lost)
        if not self._closing:
            self._network.soon(self._client_lost, ConnectionResetError("the network was cut"))

    def release(self) -> None:
        """Let what was kept back arrive."""
        self.held_up = False
        held, self._held = self._held, []
        for data in held:
            self.write(data)

    def _server_lost(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            server.lost()
        self._network.links.discard_link(self)

    def _client_lost(self, error: Exception | None) -> None:
        if not self.node.is_dead:
            self._protocol.connection_lost(error)


class _Links:
    """Connections in the order in which they were made: a set would have no order that a seed could fix."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}

    def add(self, link: Link) -> None:
        self._links[id(link)] = link

    def discard_link(self, link: Link) -> None:
        self._links.pop(id(link), None)

    def all(self) -> list[Link]:
        """Return every open connection."""
        return list(self._links.values())


Accept = Callable[[Link], ServerSide]


class Network:
    """Carries bytes between nodes and whoever listens."""

    def __init__(self, loop: SimulationLoop, chance: random.Random) -> None:
        self.loop = loop
        self._chance = chance
        self._accept: Accept | None = None
        self.links = _Links()
        # Bytes under way belong to no process: they arrive although their sender is dead.
        self._outside = contextvars.copy_context()
        self.slow = 1.0
        """How many times slower than usual everything is."""

    def listen(self, accept: Accept | None) -> None:
        """Have `accept` take connections from now on; None refuses them."""
        self._accept = accept

    def connect(self, node: Node, protocol: asyncio.Protocol) -> "asyncio.Future[asyncio.Transport]":
        """Connect a node to whoever listens."""
        future: asyncio.Future[asyncio.Transport] = self.loop.create_future()
        self.after(CONNECT_S, self._finish_connect, node, protocol, future)
        return future

    def _finish_connect(
        self, node: Node, protocol: asyncio.Protocol, future: "asyncio.Future[asyncio.Transport]"
    ) -> None:
        if future.done() or node.is_dead:
            return
        if self._accept is None:
            future.set_exception(ConnectionRefusedError("nobody listens"))
            return
        link = Link(self, node, protocol)
        self.links.add(link)
        protocol.connection_made(link)
        link.server = self._accept(link)
        future.set_result(link)

    def later(self, not_before_s: float, call: Callable[..., None], *arguments: object) -> float:
        """Call after a random delay, but not before what was sent earlier; return when."""
        delay_s = DELAY_MIN_S + self._chance.random() * DELAY_MEAN_S
        at_s = max(not_before_s, self.loop.time() + delay_s * self.slow)
        # Equal times keep the order of the calls: the loop's heap does not, so each is a little later.
        at_s = max(at_s, not_before_s + 1e-7)
        self.loop.call_at(at_s, call, *arguments, context=self._outside.copy())
        return at_s

    def after(self, wait_s: float, call: Callable[..., None], *arguments: object) -> None:
        """Call in `wait_s` seconds."""
        self.loop.call_later(wait_s, call, *arguments, context=self._outside.copy())

    def soon(self, call: Callable[..., None], *arguments: object) -> None:
        """Call in the next turn."""
        self.loop.call_soon(call, *arguments, context=self._outside.copy())
