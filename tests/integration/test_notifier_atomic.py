"""Fenced publishing against a real broker: everything in order, or a beginning of it, or nothing."""

from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from deploy.broker import EmbeddedBroker
from services.notifier.atomic import (
    BATCH_MAX_MESSAGES,
    CHAIN_MAX_MESSAGES,
    FenceLost,
    Outgoing,
    PublishFailed,
    publish_fenced,
)
from tests.conftest import Connect
from tests.journal_writer import JournalWriter
from tests.notifier_setting import RESULTS, Setting

SIZES = (1, 2, CHAIN_MAX_MESSAGES, CHAIN_MAX_MESSAGES + 1, BATCH_MAX_MESSAGES)


@pytest.fixture
async def client(fresh_broker: EmbeddedBroker, connect: Connect) -> Client:
    return (await connect(fresh_broker, "notifier")).client


@pytest.fixture
def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, client: Client) -> Setting:
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(client))


def messages(count: int, name: str = "a", first: int = 1) -> list[Outgoing]:
    return [
        Outgoing(f"groupbuy.main.result.m-{at}", f"{name}-{at}".encode(), {"Place": f"{name} {at}"})
        for at in range(first, first + count)
    ]


@pytest.mark.parametrize("count", SIZES)
async def test_messages_are_stored_in_order_with_subject_headers_and_body(
    setting: Setting, client: Client, count: int
) -> None:
    assert await publish_fenced(client, messages(count), 0) == count
    assert await publish_fenced(client, messages(2, "b"), count) == count + 2
    stored = await setting.stored()
    assert [m.body for m in stored] == [m.body for m in (*messages(count), *messages(2, "b"))]
    assert [m.subject for m in stored[:count]] == [m.subject for m in messages(count)]
    assert [m.headers["Place"] for m in stored[:count]] == [f"a {at}" for at in range(1, count + 1)]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("whole", [False, True])
async def test_a_stream_that_has_moved_on_takes_nothing(
    setting: Setting, client: Client, count: int, whole: bool
) -> None:
    await publish_fenced(client, messages(3, "other"), 0)
    for wrong in (0, 2, 4):
        with pytest.raises(FenceLost):
            await publish_fenced(client, messages(count), wrong, whole=whole)
    assert len(await setting.stored()) == 3


@pytest.mark.parametrize("count", SIZES)
async def test_the_same_messages_a_second_time_are_not_stored(setting: Setting, client: Client, count: int) -> None:
    await publish_fenced(client, messages(count), 0)
    with pytest.raises(FenceLost):
        await publish_fenced(client, messages(count), 0)
    assert len(await setting.stored()) == count


async def test_a_foreign_message_in_the_place_of_the_first_stops_the_whole_chain(
    setting: Setting, client: Client
) -> None:
    """The sequences of all the others would fit: it is the id of the message before that does not."""
    await client.jetstream().publish("groupbuy.main.result.x", b"foreign")
    with pytest.raises(FenceLost):
        await publish_fenced(client, messages(5), 0)
    assert [m.body for m in await setting.stored()] == [b"foreign"]


async def test_a_chain_continues_the_same_chain_of_another_writer(
    setting: Setting, client: Client, connect: Connect, fresh_broker: EmbeddedBroker
) -> None:
    other = (await connect(fresh_broker, "notifier")).client
    await publish_fenced(other, messages(2), 0)
    assert await publish_fenced(client, messages(6), 0) == 6
    assert [m.body for m in await setting.stored()] == [m.body for m in messages(6)]


async def test_a_chain_does_not_continue_one_that_says_anything_else(
    setting: Setting, client: Client, connect: Connect, fresh_broker: EmbeddedBroker
) -> None:
    other = (await connect(fresh_broker, "notifier")).client
    differing = [msgspec.structs.replace(message, body=b"other words") for message in messages(2)]
    await publish_fenced(other, differing, 0)
    with pytest.raises(FenceLost):
        await publish_fenced(client, messages(6), 0)
    assert [m.body for m in await setting.stored()] == [b"other words"] * 2


async def test_a_batch_left_open_by_a_crash_stores_nothing(setting: Setting, client: Client) -> None:
    for at in range(1, 4):
        await client.publish(
            f"groupbuy.main.result.m-{at}", b"half", headers={"Nats-Batch-Id": "half", "Nats-Batch-Sequence": str(at)}
        )
    await client.flush()
    assert await publish_fenced(client, messages(20), 0) == 20
    assert len(await setting.stored()) == 20


async def test_without_a_stream_or_a_connection_the_failure_is_said(setting: Setting, client: Client) -> None:
    async with setting.operator() as js:
        await js.delete_stream(RESULTS)
    for count in SIZES:
        with pytest.raises(PublishFailed, match=r"no stream takes groupbuy\.main\.result"):
            await publish_fenced(client, messages(count), 0)
    await setting.broker.stop()
    with pytest.raises(PublishFailed, match="connection"):
        await publish_fenced(client, messages(20), 0)
