"""A small HTTP server inside a service's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

START_POLL_S: Final = 0.005
STOP_TIMEOUT_S: Final = 5
KEEP_ALIVE_S: Final = 30
BACKLOG: Final = 512


class HttpError(Exception):
    """The server cannot run; the message says why and what to do."""


class _QuietServer(uvicorn.Server):
    """The library's server without its signal handlers: the service decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the service."""
        yield


class HttpServer:
    """One ASGI application on one port, from `start` to `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, connections_max: int = 1_024) -> None:
        assert 0 <= port <= 65_535, f"port {port}"
        self._host = host
        self._wanted_port = port
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
                limit_concurrency=connections_max,
                backlog=BACKLOG,
                ws="none",
            )
        )

    @property
    def port(self) -> int:
        """The port, known once started."""
        assert self._socket is not None, "the server has been started"
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen and serve. Raises HttpError when the port cannot be had."""
        self._socket = _listening_socket(self._host, self._wanted_port)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="http server")
        while not self._server.started:
            if self._task.done():
                raise HttpError(f"the HTTP server on {self._host}:{self._wanted_port} ended at once")
            await asyncio.sleep(START_POLL_S)

    async def stop(self) -> None:
        """Answer what is being asked, at most a few seconds long, and close."""
        if self._task is None:
            return
        self._server.should_exit = True
        task, self._task = self._task, None
        await task
        if self._socket is not None:
            self._socket.close()


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise HttpError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses the port or choose another"
        ) from None
    listener.setblocking(False)
    return listener
