"""Requests by the short way: a publish whose answer is awaited costs a future, and nothing more.

The library's own costs a random name, a task, a timer and six turns of the event loop each, and goes on waiting when
the connection that would bring the answer is gone.
"""

import asyncio
import time
from typing import Final, NamedTuple

import msgspec
import nats.errors
from nats.aio.client import Client

from services.bus.wire import Wire, WireSubscription, wire_of

LOOK_EVERY_S: Final = 0.1
_NO_RESPONDERS: Final = b"NATS/1.0 503"


class AckError(msgspec.Struct):
    """Why a stream did not take a message."""

    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct):
    """What a stream answers to a message: where it stands, or why it does not."""

    seq: int = 0
    duplicate: bool = False
    error: AckError | None = None


decode_ack: Final = msgspec.json.Decoder(Ack).decode
"""Return the Ack in an answer. Raises msgspec.DecodeError."""


class AnswerLost(nats.errors.Error):
    """The connection on which the answer would have come is gone: whether there was one is not known."""


class _Asked(NamedTuple):
    answer: "asyncio.Future[bytes]"
    until_s: float
    reconnects: int


class Asker:
    """Asks on one connection; any number of answers may be awaited at a time. `asker_of` gives it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wire: Wire = wire_of(client)
        self._prefix = f"{client.new_inbox()}."
        self._asked: dict[bytes, _Asked] = {}
        self._count = 0
        self._looking: asyncio.TimerHandle | None = None
        self._opening = asyncio.Lock()
        self._subscription: WireSubscription | None = None

    async def open(self) -> None:
        """Begin to listen for answers, once. Raises what the connection raises."""
        if self._subscription is not None:
            return
        async with self._opening:
            if self._subscription is None:
                self._subscription = await self._wire.subscribe(f"{self._prefix}*", self._take)

    def ask(self, subject: str, body: bytes, head: bytes = b"", timeout_s: float = 5.0) -> "asyncio.Future[bytes]":
        """Publish at once and return the future of the answer's body.

        It ends with NoRespondersError, TimeoutError of nats.errors, or AnswerLost. Raises ConnectionReconnectingError
        without a connection: the library would keep the message, and send it when nobody waits any more.
        """
        assert self._subscription is not None, "opened before asked"
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        self._count += 1
        token = b"%d" % self._count
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._wire.send(subject, body, f"{self._prefix}{self._count}", head)
        self._asked[token] = _Asked(answer, time.monotonic() + timeout_s, self._client.stats["reconnects"])
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)
        return answer

    def _take(self, subject: bytes, _reply: bytes, head: bytes, body: bytes) -> None:
        asked = self._asked.pop(subject.rpartition(b".")[2], None)
        if asked is None or asked.answer.done():
            return
        if not body and head.startswith(_NO_RESPONDERS):
            asked.answer.set_exception(nats.errors.NoRespondersError())
        else:
            asked.answer.set_result(body)

    def _look(self) -> None:
        """End what waits in vain."""
        self._looking = None
        now_s, reconnects = time.monotonic(), self._client.stats["reconnects"]
        is_connected = self._client.is_connected
        for token, asked in list(self._asked.items()):
            if asked.answer.done():
                # Whoever asked has gone away.
                del self._asked[token]
            elif asked.reconnects != reconnects or not is_connected:
                del self._asked[token]
                asked.answer.set_exception(AnswerLost("the connection was lost before the broker answered"))
            elif asked.until_s <= now_s:
                del self._asked[token]
                asked.answer.set_exception(nats.errors.TimeoutError())
        if self._asked:
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)


async def asker_of(client: Client) -> Asker:
    """Return the asker of a connection, listening; the same one each time. Raises what the connection raises."""
    wire = wire_of(client)
    if wire.asker is None:
        wire.asker = Asker(client)
    await wire.asker.open()
    return wire.asker
