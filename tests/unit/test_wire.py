"""The short way reads what the library's parser reads, whatever the pieces in which the socket brings it."""

import asyncio
import random
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from services.bus.wire import Take, Wire, header_block, parse_headers, wire_of

HEAD = header_block({"Nats-Msg-Id": "abc", "Other": "x:y"})
BODIES = (b"", b"{}", b"MSG a 1 2\r\n\r\n", bytes(range(256)) * 300)


class Library(Client):
    """The client with what it would do noted down instead of done."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, ...]] = []

    async def _process_msg(self, *message: Any) -> None:
        self.noted.append(message)

    async def _process_ping(self) -> None:
        self.noted.append(("ping",))

    async def _process_err(self, err_msg: str) -> None:
        self.noted.append(("error", err_msg))


class Reader:
    """A client whose subscription 7 goes the short way."""

    def __init__(self) -> None:
        self.client = Library()
        self.wire: Wire = wire_of(self.client)
        self.taken: list[tuple[bytes, bytes, bytes, bytes]] = []
        self.takes(lambda *message: self.taken.append(message))

    def takes(self, take: Take) -> None:
        self.wire._parser.takers[b"7"] = take

    def read(self, *pieces: bytes) -> None:
        async def feed() -> None:
            for piece in pieces:
                await self.client._ps.parse(piece)

        asyncio.run(feed())


def message(body: bytes, sid: int = 7, reply: bytes = b"", head: bytes = b"") -> bytes:
    address = b" ".join([b"a.b", b"%d" % sid, *([reply] if reply else [])])
    if head:
        return b"HMSG %b %d %d\r\n%b%b\r\n" % (address, len(head), len(head) + len(body), head, body)
    return b"MSG %b %d\r\n%b\r\n" % (address, len(body), body)


EVERYTHING = b"".join(
    [
        *(message(body) for body in BODIES),
        b"PING\r\n",
        *(message(body, reply=b"r.1", head=HEAD) for body in BODIES),
        message(b"other", sid=8, reply=b"r.2", head=HEAD),
        b"+OK\r\n",
        b"-ERR 'Permissions Violation for Publish'\r\n",
        message(b"last"),
    ]
)


@pytest.mark.parametrize("seed", range(20))
def test_messages_are_the_same_in_whatever_pieces_they_come(seed: int) -> None:
    chance, reader = random.Random(seed), Reader()
    cuts = sorted(chance.sample(range(1, len(EVERYTHING)), chance.choice((1, 3, 40, 400))))
    pieces = [EVERYTHING[start:end] for start, end in zip([0, *cuts], [*cuts, len(EVERYTHING)], strict=True)]
    reader.read(*pieces)
    without = [(b"a.b", b"", b"", body) for body in BODIES]
    with_head = [(b"a.b", b"r.1", HEAD, body) for body in BODIES]
    assert reader.taken == [*without, *with_head, (b"a.b", b"", b"", b"last")]
    assert reader.client.noted == [
        ("ping",),
        (8, b"a.b", b"r.2", b"other", HEAD),
        ("error", "'permissions violation for publish'"),
    ]


def test_one_byte_at_a_time_is_enough() -> None:
    reader = Reader()
    whole = message(b"body", reply=b"r.1", head=HEAD) + b"PING\r\n"
    reader.read(*(whole[at : at + 1] for at in range(len(whole))))
    assert reader.taken == [(b"a.b", b"r.1", HEAD, b"body")]
    assert reader.client.noted == [("ping",)]


def test_what_the_library_has_begun_to_read_it_reads_to_its_end() -> None:
    client = Library()
    whole = message(b"begun before", sid=3)

    async def feed() -> None:
        await client._ps.parse(whole[:15])
        wire_of(client)._parser.takers[b"7"] = lambda *taken: client.noted.append(taken)
        await client._ps.parse(whole[15:])
        await client._ps.parse(message(b"after"))

    asyncio.run(feed())
    assert client.noted == [(3, b"a.b", b"", b"begun before", None), (b"a.b", b"", b"", b"after")]


def test_half_a_message_does_not_outlive_its_connection() -> None:
    reader = Reader()
    reader.read(message(b"lost with the connection")[:-8])
    reader.client._ps.reset()
    reader.read(message(b"of the next"))
    assert reader.taken == [(b"a.b", b"", b"", b"of the next")]


def test_who_fails_at_a_message_does_not_deafen_the_connection() -> None:
    reader = Reader()

    def fail(*_: bytes) -> None:
        raise ValueError

    reader.takes(fail)
    reader.read(message(b"one"))
    reader.takes(lambda *taken: reader.taken.append(taken))
    reader.read(message(b"two"))
    assert [body for *_, body in reader.taken] == [b"two"]


def test_what_is_no_protocol_ends_the_connection_as_it_does_with_the_library() -> None:
    reader = Reader()
    with pytest.raises(nats.errors.ProtocolError):
        reader.read(b"NONSENSE\r\n")


def test_a_connection_has_one_short_way() -> None:
    client = Library()
    assert wire_of(client) is wire_of(client)


def test_headers_are_read_as_they_are_written() -> None:
    assert parse_headers(HEAD) == {"Nats-Msg-Id": "abc", "Other": "x:y"}
    assert parse_headers(b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 12\r\n\r\n") == {
        "Nats-Last-Consumer": "12"
    }
