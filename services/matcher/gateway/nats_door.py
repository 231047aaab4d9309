"""The door on NATS: requests on `groupbuy.<market>.submit.<publisher>.<family>`, answered to the publisher's inbox.

By the short way on the app's connection and not by a FastStream subscriber: FastStream 0.7.8 costs 48 µs a
message (a stack of contexts, scopes and middlewares for each), nats-py alone some 15 µs, and the gateway has to take
ten thousand single events a second on a fraction of a core. FastStream keeps the connection and the lifecycle.
"""

import logging
from typing import Final

import nats.errors

from events import subjects
from services.bus.connect import ServiceBroker
from services.bus.wire import WireSubscription, wire_of
from services.matcher.gateway.answers import Refusal
from services.matcher.gateway.figures import Figures
from services.matcher.gateway.gather import Gatherer

QUEUE_GROUP: Final = "gateway"
_PUBLISHER_TOKEN: Final = 3
_FAMILY_TOKEN: Final = 4

_log: Final = logging.getLogger("groupbuy.gateway")


class NatsDoor:
    """Takes requests from NATS and sends the answers as they come."""

    def __init__(self, broker: ServiceBroker, market: str, gatherer: Gatherer, figures: Figures) -> None:
        self._broker = broker
        self._subject = subjects.submit(market, "*", "*")
        self._gatherer = gatherer
        self._figures = figures
        self._subscription: WireSubscription | None = None

    async def open(self) -> None:
        """Begin to take requests, sharing them with the other gateways of the market."""
        self._subscription = await wire_of(self._broker.client).subscribe(self._subject, self._receive, QUEUE_GROUP)

    async def close(self) -> None:
        """Take no more requests; answers still go out."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error as error:
                _log.info("the submit subject could not be left: %s", error)

    def _receive(self, subject: bytes, reply: bytes, _head: bytes, body: bytes) -> None:
        tokens = subject.decode().split(".")
        publisher, reply_to = tokens[_PUBLISHER_TOKEN], reply.decode()
        # The broker lets a publisher send on its own subjects only, but does not check where the answer is to
        # go: without this the gateway could be made to publish into somebody else's inbox.
        if not reply_to.startswith(f"_INBOX.{publisher}."):
            self._figures.ignored.inc()
            return
        try:
            self._gatherer.submit(publisher, body, tokens[_FAMILY_TOKEN], lambda answer: self._answer(reply_to, answer))
        except Refusal as refusal:
            self._answer(reply_to, refusal)

    def _answer(self, reply: str, answer: bytes | Refusal) -> None:
        if isinstance(answer, Refusal):
            self._figures.errors.labels(answer.error.code).inc()
            answer = answer.encode()
        client = self._broker.client
        try:
            if not client.is_connected:
                raise nats.errors.ConnectionReconnectingError
            wire_of(client).send(reply, answer)
        except nats.errors.Error as error:
            # Who asked will ask again: the answer is kept in the log of the market, not here.
            _log.warning("an answer could not be sent: %s", error)
