"""The ways between the nodes of a cluster, each through a small proxy that can be blocked: a partition without root."""

import asyncio
import contextlib
import socket
from typing import Final

from deploy.broker_config import HOST
from deploy.stack_files import free_service_port

CHUNK_BYTES: Final = 256 * 1024


class Way:
    """From one node to another: a port of its own, and everything that goes over it."""

    def __init__(self, target_port: int) -> None:
        self.port = free_service_port()
        self._target_port = target_port
        # Held until it serves, so that nobody else is given it.
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, self.port))
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving = asyncio.create_task(self._serve())

    def block(self) -> None:
        """From now on nothing gets through, and nobody is told: as when a cable is pulled."""
        self._open.clear()

    def free(self) -> None:
        """Let everything through again, what was kept back first."""
        self._open.set()

    async def close(self) -> None:
        """End it, with all connections."""
        for task in (self._serving, *self._tasks):
            task.cancel()
        await asyncio.gather(self._serving, *self._tasks, return_exceptions=True)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
            try:
                await asyncio.wait(
                    {
                        asyncio.create_task(self._pump(reader, far_writer)),
                        asyncio.create_task(self._pump(far_reader, writer)),
                    },
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                far_writer.close()
        except OSError:
            # The node is not up: whoever connects is told so, by the end of the connection.
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()


class Ways:
    """All ways of a cluster, by who goes to whom."""

    def __init__(self) -> None:
        self._ways: dict[tuple[int, int], Way] = {}

    def between(self, one: int, other: int, port: int) -> int:
        """Return the port by which node `one` reaches node `other`, which listens at `port`."""
        way = self._ways[one, other] = Way(port)
        return way.port

    def cut_off(self, node: int) -> None:
        """Separate a node from all others."""
        for pair, way in self._ways.items():
            if node in pair:
                way.block()

    def heal(self) -> None:
        """Join all nodes again."""
        for way in self._ways.values():
            way.free()

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(way.close() for way in self._ways.values()))
