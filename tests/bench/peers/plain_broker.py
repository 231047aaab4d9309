"""A nats-server of its own for the peers: no users, one stream, fsync on every write."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import nats
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig

from deploy.broker_binary import find_binary
from deploy.ports import free_port

STREAM: Final = "JOINS"
SUBJECT: Final = "joins"
_START_TRIES: Final = 200


@asynccontextmanager
async def plain_broker() -> AsyncIterator[str]:
    """Run a server with the stream `JOINS` on the subject `joins` and give its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-broker-") as folder:
        config = Path(folder) / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{folder}/streams", sync_interval: always }}\n'
        )
        process = subprocess.Popen([str(find_binary()), "-c", str(config), "-l", f"{folder}/log"])
        url = f"nats://127.0.0.1:{port}"
        try:
            await _provision(url)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


async def _provision(url: str) -> None:
    for _ in range(_START_TRIES):
        try:
            client = await nats.connect(url, allow_reconnect=False, connect_timeout=1, error_cb=_ignore)
            break
        except (OSError, nats.errors.Error):
            await asyncio.sleep(0.05)
    else:
        raise RuntimeError("the broker of the benchmark did not start")
    await _add_stream(client)
    await client.close()


async def _ignore(_: Exception) -> None:
    """Say nothing of a server that is not up yet."""


async def _add_stream(client: Client) -> None:
    config = StreamConfig(name=STREAM, subjects=[SUBJECT], storage=StorageType.FILE, allow_atomic=True)
    await client.jetstream().add_stream(config)
