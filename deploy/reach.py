"""Reaching a running stack: connections to its broker as one of its users, and its services over HTTP."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from deploy.identity import connect_options
from events import subjects
from services.bus.connect import server_list

CONNECT_TIMEOUT_S: Final = 5
RECONNECT_WAIT_S: Final = 0.2
PENDING_MAX_BYTES: Final = 32 * 1024 * 1024
HTTP_TIMEOUT_S: Final = 5.0
HTTP_ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024


async def connect_as(data: Path, nats_url: str, user: str) -> Client:
    """Connect to a broker, or to one node of several, as one of the users whose keys lie under the data directory.

    Raises nats.errors.Error or OSError when it cannot be made now; once it stood it is re-made for ever.
    """
    client = Client()
    await client.connect(
        server_list(nats_url),
        **connect_options(data, user),
        connect_timeout=CONNECT_TIMEOUT_S,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        pending_size=PENDING_MAX_BYTES,
        error_cb=_ignore,
    )
    # The library has one setting for the first connection, where whoever asks wants an answer now, and for
    # later ones, where giving up would be the end of a long command.
    client.options |= {
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_WAIT_S,
    }
    return client


async def close_quietly(client: Client) -> None:
    """Close a connection, whether it still stands or not."""
    # The library flushes while it closes, and says so when there is nothing to flush to any more.
    with contextlib.suppress(nats.errors.Error, OSError):
        await client.close()


async def missing_streams(client: Client, market: str) -> list[str]:
    """Return the market's streams that the broker has not."""
    named = (
        subjects.intake_stream,
        subjects.journal_stream,
        subjects.outcomes_stream,
        subjects.results_stream,
        subjects.notices_stream,
    )
    missing = []
    for name in (stream(market) for stream in named):
        try:
            await client.jetstream().stream_info(name)
        except NotFoundError:
            missing.append(name)
    return missing


async def http_get(url: str) -> tuple[int, bytes]:
    """Return status and body of a GET on a loopback URL. Raises OSError or TimeoutError when there is no answer."""
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    async with asyncio.timeout(HTTP_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read(HTTP_ANSWER_MAX_BYTES)
            while chunk := await reader.read(HTTP_ANSWER_MAX_BYTES):
                answer += chunk
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = head.split(b" ", 2)
    if len(fields) < 2 or not fields[1].isdigit():
        raise OSError(f"{url} did not answer in HTTP")
    return int(fields[1]), body


async def _ignore(_: Exception) -> None:
    """Errors of the connection reach the caller of each operation; the library's handler would print them."""
