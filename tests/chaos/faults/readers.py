"""Readers that do not read: what they are sent must hold up nobody but themselves."""

import asyncio
import contextlib
import random
from typing import Any, Final

import nats
import nats.errors

from deploy.broker_config import HOST
from deploy.identity import connect_options
from events import subjects
from tests.chaos.arena import MARKET, SHOPS, Arena

READERS: Final = 3


class SlowConsumer:
    """Publishers that subscribe to their outcomes and then read nothing, until the broker drops them or they go."""

    kind = "slow consumer"
    part = "reader"

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Subscribe, stop reading, and stay for a while."""
        url, clients = arena.stack.address.nats_url, []
        try:
            for _ in range(READERS):
                options: dict[str, Any] = connect_options(arena.data, SHOPS[0])
                client = await nats.connect(url, **options, allow_reconnect=False, error_cb=_ignore)
                clients.append(client)
                await client.subscribe(subjects.outcome(MARKET, SHOPS[0]))
                await client.flush()
                # The library has no words for this: its socket is left full.
                client._transport._bare_io_writer.transport.pause_reading()  # type: ignore[union-attr]
        except (nats.errors.Error, OSError, TimeoutError):
            return False
        finally:
            await asyncio.sleep(chance.uniform(*arena.setting.pause_s) if clients else 0.0)
            for client in clients:
                with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                    await client.close()
        return True


class SlowSender:
    """Clients of the gateway that begin a request, and never end it."""

    kind = "slow sender"
    part = "reader"

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Send half a request and wait."""
        port = int((arena.stack.address.http_url or "").rpartition(":")[2])
        writers = []
        with contextlib.suppress(OSError):
            for _ in range(READERS):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.write(f"POST /markets/{MARKET}/events HTTP/1.1\r\ncontent-length: 1000\r\n".encode())
                writers.append(writer)
        await asyncio.sleep(chance.uniform(*arena.setting.full_s))
        for writer in writers:
            writer.close()
        return bool(writers)


async def _ignore(_: Exception) -> None:
    """That the broker drops whoever does not read is what is expected of it."""
