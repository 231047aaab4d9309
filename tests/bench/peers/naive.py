"""The straightforward service on FastStream and eventsourcing: one message, one aggregate, one save, one ack."""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import nats
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker
from nats.js.api import ConsumerConfig

from tests.bench.peers import GROUP_SIZE, PeerResult
from tests.bench.peers.plain_broker import STREAM, SUBJECT, plain_broker

JOINS: Final = 4_000
JOINS_QUICK: Final = 1_000
GROUPS: Final = 1_000
PATIENCE_S: Final = 120


class _Group(Aggregate):
    @event("Opened")
    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[str] = []
        self.filled = False

    @staticmethod
    def create_id(name: str) -> UUID:
        return uuid5(NAMESPACE_URL, name)

    @event("Joined")
    def join(self, member: str) -> None:
        self.members.append(member)

    @event("Filled")
    def fill(self) -> None:
        self.filled = True


class _Groups(Application[UUID]):
    """Groups in SQLite with write-ahead log, which flushes at every commit as it is set up."""

    def join(self, name: str, member: str) -> bool:
        """Seat `member` in the group of that name, opening it if need be; tell whether there was a seat."""
        group = self.find(name) or _Group(name)
        if len(group.members) >= GROUP_SIZE or member in group.members:
            return False
        group.join(member)
        if len(group.members) == GROUP_SIZE:
            group.fill()
        self.save(group)
        return True

    def find(self, name: str) -> _Group | None:
        """Return the group of that name."""
        try:
            return cast(_Group, self.repository.get(_Group.create_id(name)))
        except AggregateNotFoundError:
            return None


class _Join(msgspec.Struct):
    group: str
    member: str


def measure(quick: bool) -> dict[str, PeerResult]:
    """Return the rate from a backlog of single messages."""
    return {"naive": asyncio.run(_measure(JOINS_QUICK if quick else JOINS))}


async def _measure(joins: int) -> PeerResult:
    with tempfile.TemporaryDirectory(prefix="bench-naive-") as folder:
        database = str(Path(folder) / "groups.sqlite")
        groups = _Groups(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": database})
        async with plain_broker() as url:
            await _publish(url, joins)
            seated, took_s = await _serve(url, groups, joins)
        over, stuck = _faults(groups)
        groups.close()
    return PeerResult(seated / took_s, over, stuck)


async def _publish(url: str, joins: int) -> None:
    client = await nats.connect(url)
    jetstream = client.jetstream(publish_async_max_pending=500)
    acks = [await jetstream.publish_async(SUBJECT, msgspec.json.encode(one), wait_stall=60) for one in _joins(joins)]
    await asyncio.gather(*acks)
    await client.close()


def _joins(joins: int) -> Iterator[_Join]:
    chance = random.Random(1)
    for _ in range(joins):
        yield _Join(f"g-{chance.randrange(GROUPS)}", f"m-{chance.randrange(10**6)}")


async def _serve(url: str, groups: _Groups, joins: int) -> tuple[int, float]:
    """Return how many were seated, and the seconds from the first message to the last."""
    broker = NatsBroker(url, logger=None)
    done = asyncio.Event()
    heard, seated = 0, 0

    @broker.subscriber(
        SUBJECT,
        stream=JStream(STREAM, declare=False),
        config=ConsumerConfig(ack_wait=60, max_ack_pending=1_000),
        ack_policy=AckPolicy.ACK,
    )
    async def join(body: dict[str, str]) -> None:
        nonlocal heard, seated
        seated += groups.join(body["group"], body["member"])
        heard += 1
        if heard == joins:
            done.set()

    begun_s = time.perf_counter()
    await broker.start()
    await asyncio.wait_for(done.wait(), PATIENCE_S)
    took_s = time.perf_counter() - begun_s
    await broker.stop()
    return seated, took_s


def _faults(groups: _Groups) -> tuple[int, int]:
    found = [group for i in range(GROUPS) if (group := groups.find(f"g-{i}")) is not None]
    over = sum(len(group.members) > GROUP_SIZE for group in found)
    return over, sum(len(group.members) >= GROUP_SIZE and not group.filled for group in found)
