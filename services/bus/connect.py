"""The connection of a service to the broker: one FastStream broker that waits, reconnects and says why not."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import nats.errors
from faststream import FastStream
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from events import subjects
from services.bus.config import ServiceConfig

CONNECT_TIMEOUT_S: Final = 5
RECONNECT_WAIT_S: Final = 1
# A dead peer is noticed after three unanswered pings: the library's own 120 s would be minutes of silence.
PING_INTERVAL_S: Final = 10
PINGS_UNANSWERED: Final = 2
# The election of a new leader is no reason to wait for the old one: asked again, the next may answer.
JETSTREAM_TIMEOUT_S: Final = 2.5
# Room for several of the largest records before a publish waits for the socket.
PENDING_MAX_BYTES: Final = 32 * 1024 * 1024
GRACEFUL_TIMEOUT_S: Final = 10.0
LISTEN_EVERY_S: Final = 2.0
DEAF_S: Final = 10.0
"""Longer than an election takes."""
ALONE_NS: Final = 4 * 10**9
"""Replicas say something each second."""
SEED_MAX_BYTES: Final = 1_024

_log: Final = logging.getLogger("groupbuy.bus")


class ConnectError(Exception):
    """The broker cannot be used with this configuration; the message says why and what to do."""


class ServiceBroker(NatsBroker):
    """FastStream's broker, with its client and JetStream at hand and a stop that works while the broker is away."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, closed_cb=self._note_closed, **settings)
        self._client: Client | None = None
        self._stopping = False
        self.lost = asyncio.Event()
        """Set when the library has given the connection up for good, as it does after an error of the protocol."""

    @property
    def client(self) -> Client:
        """The connection, once connected: for what FastStream has no words for."""
        if self._client is None:
            raise ConnectError("the broker is not connected yet: await connect() first")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream on the connection, once connected."""
        return self.client.jetstream(timeout=JETSTREAM_TIMEOUT_S)

    async def connect(self) -> Client:
        """Connect, waiting for a broker that is not up yet.

        Raises nats.errors.Error when the broker refuses this user, which waiting would not mend.
        """
        client = await super().connect()
        if client is not self._client:
            # FastStream's own callback raises for errors that it holds for hopeless. During a reconnection
            # that ends nats-py's only task that reconnects: a broker that is slow to authorise while it
            # starts ("authorization timeout") would leave the service without connection for ever.
            client._error_cb = _note
            self._client = client
        return client

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Stop the subscribers, send what is pending, and close, whether the broker is there or not."""
        self._stopping = True
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except (nats.errors.Error, ExceptionGroup) as error:
            # Draining needs a live connection; at the end of a service there may be none.
            _log.info("the connection could not be drained: %s", error)
        finally:
            client, self._client = self._client, None
            if client is not None and not client.is_closed:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await client.close()

    async def _note_closed(self) -> None:
        if not self._stopping:
            _log.error("the connection was given up for good: this process has to be started again")
            self.lost.set()


def server_list(nats_url: str) -> list[str]:
    """Return the addresses of the nodes in `nats_url`, which are separated by commas, in an order of chance.

    The library tries them in turn, the one that it left last: its own shuffling might choose that one again.
    """
    servers = [server.strip() for server in nats_url.split(",") if server.strip()]
    random.shuffle(servers)
    return servers


async def leave_deaf_nodes(broker: ServiceBroker, market: str) -> None:
    """Go to another node when this one has been without a word of the market for long; a task of its own.

    A node that is cut off from the others keeps its connections, and can neither store nor answer. For as long as an
    election takes all nodes are like that.
    """
    heard_at_s = time.monotonic()
    while len(broker.client.servers) > 1:
        await asyncio.sleep(LISTEN_EVERY_S)
        try:
            info = await broker.jetstream.stream_info(subjects.journal_stream(market))
            is_deaf = _is_alone(info)
        except NotFoundError:
            is_deaf = False
        except (nats.errors.Error, TimeoutError, OSError):
            is_deaf = broker.client.is_connected
        now_s = time.monotonic()
        if not is_deaf:
            heard_at_s = now_s
        elif now_s - heard_at_s > DEAF_S:
            _log.warning("the node has been deaf for %.0f s: going to another", now_s - heard_at_s)
            heard_at_s = now_s
            await broker.client.force_reconnect()


def _is_alone(info: api.StreamInfo) -> bool:
    """Tell whether the leader of a stream hears from none of its replicas: then it soon knows that it leads no more."""
    replicas = info.cluster.replicas if info.cluster is not None else None
    return bool(replicas) and all(peer.offline or (peer.active or 0) > ALONE_NS for peer in replicas or ())


async def exit_when_lost(app: FastStream, broker: ServiceBroker) -> None:
    """End an app whose connection was given up for good, so that its supervisor starts it again; a task of its own."""
    await broker.lost.wait()
    app.exit()


async def connect_broker(
    config: ServiceConfig, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
) -> ServiceBroker:
    """Return the connected broker of a service; subscribers start when the FastStream app does.

    Waits for a broker that is not up yet and reconnects for ever. `on_reconnect` is awaited after each
    reconnection. Raises ConnectError when the key is unusable or the broker refuses this user.
    """
    broker = ServiceBroker(
        server_list(config.nats_url),
        security=_security(config.nkey_seed_file),
        name=f"groupbuy {config.service}",
        inbox_prefix=config.inbox_prefix,
        connect_timeout=CONNECT_TIMEOUT_S,
        reconnect_time_wait=RECONNECT_WAIT_S,
        dont_randomize=True,
        # The library gives up after 60 tries: a service that gave up would look alive for ever.
        max_reconnect_attempts=-1,
        ping_interval=PING_INTERVAL_S,
        max_outstanding_pings=PINGS_UNANSWERED,
        pending_size=PENDING_MAX_BYTES,
        js_options={"timeout": JETSTREAM_TIMEOUT_S},
        graceful_timeout=GRACEFUL_TIMEOUT_S,
        error_cb=_note,
        reconnected_cb=on_reconnect,
        # Handlers here take the message as it is: no injection and no validation behind their backs.
        apply_types=False,
        logger=logging.getLogger("groupbuy.faststream"),
        log_level=logging.DEBUG,
    )
    try:
        await broker.connect()
    except nats.errors.Error as error:
        raise ConnectError(
            f"the broker at {config.nats_url} refuses user {config.user!r}: {error}; check that the broker "
            f"was started with this user's key"
        ) from None
    return broker


def _security(seed_file: Path | None) -> NatsNKey | None:
    if seed_file is None:
        return None
    try:
        with seed_file.open("rb") as file:
            seed = file.read(SEED_MAX_BYTES).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise ConnectError(f"cannot read the key {seed_file}: {error.strerror}") from None
    if not seed.startswith("SU"):
        raise ConnectError(f"the key {seed_file} does not hold the seed of a user's nkey, which begins with SU")
    return NatsNKey.from_seed(seed)


async def _note(error: Exception) -> None:
    """Log what the connection reports, without the traceback that the library would print."""
    _log.warning("connection: %s", str(error) or type(error).__name__)
