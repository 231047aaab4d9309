"""Fixtures that several kinds of tests share: real brokers on free ports, always stopped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from deploy.broker import EmbeddedBroker
from deploy.permissions import PROVISIONER
from deploy.provision import provision

MARKET = "main"
PUBLISHERS = ("local", "shop-a", "shop-b")


async def _ignore(_: Exception) -> None:
    """The library's own handler prints a traceback for every reconnect."""


@dataclass
class User:
    """A connection of one user of the broker, with what the broker refused it."""

    name: str
    client: Client
    refusals: list[str] = field(default_factory=list)

    async def refused(self, action: Callable[[], Awaitable[object]]) -> bool:
        """Do something and tell whether the broker refused it for want of a right."""
        known = len(self.refusals)
        await action()
        await self.client.flush()
        # The refusal precedes the flush's answer, but is handed to the callback by another task.
        for _ in range(20):
            if len(self.refusals) > known:
                return True
            await asyncio.sleep(0.002)
        return False

    async def refused_publish(self, subject: str, payload: bytes = b"{}") -> bool:
        """Tell whether this user may not publish on `subject`."""
        return await self.refused(lambda: self.client.publish(subject, payload))

    async def refused_subscribe(self, subject: str) -> bool:
        """Tell whether this user may not subscribe to `subject`."""
        return await self.refused(lambda: self.client.subscribe(subject))


Connect = Callable[[EmbeddedBroker, str], Awaitable[User]]


async def connect_user(broker: EmbeddedBroker, name: str) -> User:
    """Connect as one of the broker's users."""
    user = User(name, Client())

    async def note(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            user.refusals.append(str(error))

    await user.client.connect(
        broker.url,
        **broker.connect_options(name),
        error_cb=note,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.05,
    )
    return user


async def provision_market(broker: EmbeddedBroker, market: str = MARKET) -> None:
    """Make a market's streams and consumers."""
    client = await nats.connect(broker.url, **broker.connect_options(PROVISIONER), error_cb=_ignore)
    try:
        await provision(client, market, PUBLISHERS)
    finally:
        await client.close()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One broker for all tests of a worker that do not mind what others left in market `main`."""
    shared = EmbeddedBroker(tmp_path_factory.mktemp("broker"), [MARKET], publishers=PUBLISHERS)
    asyncio.run(_start_provisioned(shared))
    yield shared
    asyncio.run(shared.stop())


@pytest.fixture
async def fresh_broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """A broker of this test's own, with the streams of market `main` and nothing in them."""
    own = EmbeddedBroker(tmp_path / "data", [MARKET], publishers=PUBLISHERS)
    await _start_provisioned(own)
    yield own
    await own.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connect as a user: `await connect(broker, "shop-a")`; closed after the test."""
    users: list[User] = []

    async def make(broker: EmbeddedBroker, name: str) -> User:
        users.append(await connect_user(broker, name))
        return users[-1]

    yield make
    for user in users:
        await user.client.close()


async def _start_provisioned(broker: EmbeddedBroker) -> None:
    await broker.start()
    try:
        await provision_market(broker)
    except BaseException:
        await broker.stop()
        raise
