"""The short way through the client library: chosen messages straight out of the socket's bytes, and straight in.

For each message nats-py 2.16 tries regular expressions in turn, makes a dict of headers, a Msg, a future or a queue's
entry, and wakes a task: 24 us, two thirds of what a single event cost the matcher. Here it is 2 us: the library's
parser is replaced by one that hands the messages of chosen subscriptions to a function at once. Connecting,
authorising, reconnecting, pinging and every other message stay the library's, by its own code.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

if TYPE_CHECKING:
    from services.bus.asking import Asker

Take = Callable[[bytes, bytes, bytes, bytes], None]
"""Gets (subject, reply, head, body) of a message; must neither block nor raise. `head` is b"" without headers."""

_END: Final = b"\r\n"
_MESSAGE: Final = (b"MSG ", b"HMSG")
_HEADERS: Final = b"HMSG"

_log: Final = logging.getLogger("groupbuy.wire")


class Wire:
    """The short way on one connection; `wire_of` gives it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._parser = _ShortParser(client, self)
        client._ps = self._parser
        self._is_flush_planned = False
        self.asker: Asker | None = None
        """What asks by this way, once somebody has."""

    async def subscribe(self, subject: str, take: Take, queue: str = "") -> "WireSubscription":
        """Have each message on `subject` given to `take` the moment it is read; it lives through reconnections.

        Raises what `Client.subscribe` raises.
        """
        subscription = await self._client.subscribe(subject, queue=queue)
        sid = b"%d" % subscription._id
        self._parser.takers[sid] = take
        # The library may have been faster with the first.
        while not subscription._pending_queue.empty():
            early = subscription._pending_queue.get_nowait()
            subscription._pending_queue.task_done()
            take(early.subject.encode(), early.reply.encode(), header_block(early.headers or {}), early.data)
        return WireSubscription(subscription, lambda: self._parser.takers.pop(sid, None))

    def send(self, subject: str, body: bytes, reply: str = "", head: bytes = b"") -> None:
        """Publish in the order of the calls. `head` is a header block, as `header_block` makes it.

        What one turn of the event loop sends is one write to the socket, at its end; `flush` does not wait for that.
        Without a connection it is kept and sent after reconnecting, as the library does it: who needs to know asks
        first. Raises MaxPayloadError, and ConnectionClosedError when the connection was given up.
        """
        client = self._client
        size_bytes = len(head) + len(body)
        if size_bytes > client.max_payload:
            raise nats.errors.MaxPayloadError
        if client.is_closed:
            raise nats.errors.ConnectionClosedError
        address = f"{subject} {reply}" if reply else subject
        command = f"HPUB {address} {len(head)} {size_bytes}\r\n" if head else f"PUB {address} {size_bytes}\r\n"
        line = command.encode()
        # What is pending is put together once, when it is written.
        client._pending += (line, head, body, _END)
        client._pending_data_size += len(line) + size_bytes + len(_END)
        if not self._is_flush_planned:
            self._is_flush_planned = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Hand what is pending to the socket. The library's flusher needs a future and three turns for the same."""
        self._is_flush_planned = False
        client = self._client
        if client._pending and client.is_connected and client._transport:
            pending, client._pending, client._pending_data_size = client._pending, [], 0
            try:
                client._transport.write(b"".join(pending))
            except (OSError, RuntimeError) as error:
                # The connection is gone: the library's reader notices too, and whoever waits for an answer.
                _log.info("nothing can be written: %s", error)


class WireSubscription:
    """One subscription whose messages take the short way."""

    def __init__(self, subscription: Subscription, forget: Callable[[], object]) -> None:
        self._subscription = subscription
        self._forget = forget

    async def unsubscribe(self) -> None:
        """Take no more messages. Raises nats.errors.Error when there is no connection any more."""
        self._forget()
        await self._subscription.unsubscribe()


class _ShortParser(Parser):
    """The library's parser, with a short way for the messages of the subscriptions in `takers`, by their id."""

    def __init__(self, client: Client, wire: Wire) -> None:
        self._resets = 0
        super().__init__(client)
        self.wire = wire
        self.takers: dict[bytes, Take] = {}
        old = client._ps
        # What the library has begun to read it reads to its end.
        self._old: Parser | None = old if old.buf or old.state != AWAITING_CONTROL_LINE else None

    def reset(self) -> None:
        """Forget what was read by half: the connection is another one."""
        super().reset()
        self._old = None
        self._parts: list[bytes] = []
        self._missing_bytes = 0
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        """Take what the socket gave. Raises ProtocolError for what is no message of the protocol."""
        if self._old is not None:
            await self._old.parse(data)
            if not self._old.buf and self._old.state == AWAITING_CONTROL_LINE:
                self._old = None
            return
        self._parts.append(data)
        self._missing_bytes -= len(data)
        # A record of 4 MiB comes in a hundred pieces: they are put together once.
        if self._missing_bytes > 0:
            return
        if len(self._parts) > 1:
            data = b"".join(self._parts)
        resets = self._resets
        at = await self._parse_whole(data)
        if self._resets == resets:
            self._parts = [data[at:]] if at < len(data) else []

    async def _parse_whole(self, data: bytes) -> int:
        """Deal with every whole message in `data`; return where the first begins that is not."""
        at, end, resets, takers = 0, len(data), self._resets, self.takers
        self._missing_bytes = 0
        while at < end and self._resets == resets:
            line_end = data.find(_END, at)
            if line_end < 0:
                return at
            operation = data[at : at + 4]
            if operation not in _MESSAGE:
                # Everything else is rare, and the library's affair.
                await super().parse(data[at : line_end + 2])
                at = line_end + 2
                continue
            fields = data[at:line_end].split()
            begin, size_bytes = line_end + 2, int(fields[-1])
            after = begin + size_bytes + 2
            if after > end:
                self._missing_bytes = after - end
                return at
            has_head = operation == _HEADERS
            body_at = begin + int(fields[-2]) if has_head else begin
            head, body = data[begin:body_at], data[body_at : after - 2]
            reply = fields[3] if len(fields) == (6 if has_head else 5) else b""
            at = after
            take = takers.get(fields[2])
            if take is None:
                await self.nc._process_msg(int(fields[2]), fields[1], reply, body, head)
                continue
            try:
                take(fields[1], reply, head, body)
            # The library would end its reader, and the connection would be deaf for ever.
            except Exception:  # noqa: BLE001
                _log.exception("a message on %s was lost here", fields[1])
        return at


def wire_of(client: Client) -> Wire:
    """Return the short way on a connection; the same one each time."""
    parser = client._ps
    return parser.wire if isinstance(parser, _ShortParser) else Wire(client)


def header_block(headers: Mapping[str, str]) -> bytes:
    """Return headers as they stand before a message's body; names and values must be fit for a line each."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"NATS/1.0\r\n{lines}\r\n".encode()


def parse_headers(head: bytes) -> dict[str, str]:
    """Return the headers in a header block; the status in its first line is left out."""
    lines = (line.partition(":") for line in head.decode(errors="replace").split("\r\n")[1:])
    return {name.strip(): value.strip() for name, found, value in lines if found}
