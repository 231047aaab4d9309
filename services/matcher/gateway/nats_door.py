"""The door on NATS: requests on `groupbuy.<market>.submit.<publisher>.<family>`, answered to the publisher's inbox.

A plain subscription on the app's connection and not a FastStream subscriber: FastStream 0.7.8 costs 48 µs a
message (a stack of contexts, scopes and middlewares for each), nats-py alone 5 µs, and the gateway has to take
ten thousand single events a second on a fraction of a core. FastStream keeps the connection and the lifecycle.
"""

import asyncio
import logging
from collections import deque
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from events import subjects
from services.bus.connect import ServiceBroker
from services.matcher.gateway.answers import Refusal
from services.matcher.gateway.figures import Figures
from services.matcher.gateway.gather import Gatherer

QUEUE_GROUP: Final = "gateway"
PENDING_MAX_MESSAGES: Final = 50_000
PENDING_MAX_BYTES: Final = 64 * 1024 * 1024
_PUBLISHER_TOKEN: Final = 3
_FAMILY_TOKEN: Final = 4

_log: Final = logging.getLogger("groupbuy.gateway")


class NatsDoor:
    """Takes requests from NATS and sends the answers, in the order in which they come."""

    def __init__(self, broker: ServiceBroker, market: str, gatherer: Gatherer, figures: Figures) -> None:
        self._broker = broker
        self._subject = subjects.submit(market, "*", "*")
        self._gatherer = gatherer
        self._figures = figures
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._wake_sender = asyncio.Event()
        self._ending = False
        self._sender: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Begin to take requests, sharing them with the other gateways of the market."""
        self._sender = asyncio.create_task(self._send(), name="gateway answers")
        self._subscription = await self._broker.client.subscribe(
            self._subject,
            queue=QUEUE_GROUP,
            cb=self._receive,
            pending_msgs_limit=PENDING_MAX_MESSAGES,
            pending_bytes_limit=PENDING_MAX_BYTES,
        )

    async def close(self) -> None:
        """Take no more requests; answers still go out until `finish`."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error as error:
                _log.info("the submit subject could not be left: %s", error)

    async def finish(self) -> None:
        """Send the answers that are there, and end."""
        # Not by a cancellation: nats-py swallows one that meets it while it flushes.
        self._ending = True
        self._wake_sender.set()
        if self._sender is not None:
            await self._sender

    async def _receive(self, message: Msg) -> None:
        tokens = message.subject.split(".")
        publisher, reply = tokens[_PUBLISHER_TOKEN], message.reply
        # The broker lets a publisher send on its own subjects only, but does not check where the answer is to
        # go: without this the gateway could be made to publish into somebody else's inbox.
        if not reply.startswith(f"_INBOX.{publisher}."):
            self._figures.ignored.inc()
            return

        def tell(answer: bytes | Refusal) -> None:
            self._answer(reply, answer)

        try:
            self._gatherer.submit(publisher, message.data, tokens[_FAMILY_TOKEN], tell)
        except Refusal as refusal:
            self._answer(reply, refusal)

    def _answer(self, reply: str, answer: bytes | Refusal) -> None:
        if isinstance(answer, Refusal):
            self._figures.errors.labels(answer.error.code).inc()
            answer = answer.encode()
        self._outbox.append((reply, answer))
        self._wake_sender.set()

    async def _send(self) -> None:
        while not self._ending:
            await self._wake_sender.wait()
            self._wake_sender.clear()
            await self._send_pending()

    async def _send_pending(self) -> None:
        client = self._broker.client
        while self._outbox:
            reply, answer = self._outbox.popleft()
            try:
                await client.publish(reply, answer)
            except nats.errors.Error as error:
                # Who asked will ask again: the answer is kept in the log of the market, not here.
                _log.warning("an answer could not be sent: %s", error)
