"""Asking by the short way, against a real broker."""

import asyncio

import nats.errors
import pytest

from deploy.broker import EmbeddedBroker
from events import subjects
from services.bus.asking import AnswerLost, Asker, asker_of, decode_ack
from services.bus.wire import header_block
from tests.conftest import MARKET, Connect

JOURNAL = subjects.journal(MARKET)
SUBMIT = subjects.submit(MARKET, "shop-a", "order")


@pytest.fixture
async def asker(fresh_broker: EmbeddedBroker, connect: Connect) -> Asker:
    return await asker_of((await connect(fresh_broker, "matcher")).client)


async def test_any_number_of_answers_may_be_awaited_each_finds_its_question(asker: Asker) -> None:
    answers = [asker.ask(JOURNAL, b"%d" % number) for number in range(200)]
    assert [decode_ack(await answer).seq for answer in answers] == list(range(1, 201))


async def test_headers_go_with_the_question(asker: Asker) -> None:
    fence = header_block({subjects.HEADER_LAST_SEQUENCE: "7"})
    ack = decode_ack(await asker.ask(JOURNAL, b"{}", fence))
    assert ack.error is not None
    assert ack.error.err_code == 10071


async def test_where_nobody_answers_that_is_said_at_once(fresh_broker: EmbeddedBroker, connect: Connect) -> None:
    shop = await asker_of((await connect(fresh_broker, "shop-a")).client)
    with pytest.raises(nats.errors.NoRespondersError):
        await shop.ask(SUBMIT, b"{}", timeout_s=600.0)


async def test_an_answer_that_does_not_come_in_time_is_waited_for_no_longer(
    asker: Asker, fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    deaf = (await connect(fresh_broker, "gateway")).client
    await deaf.subscribe(SUBMIT)
    await deaf.flush()
    shop = await asker_of((await connect(fresh_broker, "shop-a")).client)
    with pytest.raises(nats.errors.TimeoutError):
        await shop.ask(SUBMIT, b"{}", timeout_s=0.2)


async def test_an_answer_that_can_no_longer_come_is_not_waited_for(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    deaf = (await connect(fresh_broker, "gateway")).client
    await deaf.subscribe(SUBMIT)
    await deaf.flush()
    client = (await connect(fresh_broker, "shop-a")).client
    shop = await asker_of(client)
    answer = shop.ask(SUBMIT, b"{}", timeout_s=600.0)
    await client.flush()
    await fresh_broker.stop()
    with pytest.raises(AnswerLost):
        await answer
    with pytest.raises(nats.errors.ConnectionReconnectingError):
        shop.ask(SUBMIT, b"{}")


async def test_a_connection_that_came_back_answers_again(asker: Asker, fresh_broker: EmbeddedBroker) -> None:
    assert decode_ack(await asker.ask(JOURNAL, b"{}")).seq == 1
    await fresh_broker.stop()
    await fresh_broker.start()
    while not asker._client.is_connected:
        await asyncio.sleep(0.01)
    assert decode_ack(await asker.ask(JOURNAL, b"{}")).seq == 2


async def test_a_connection_has_one_asker(asker: Asker) -> None:
    assert await asker_of(asker._client) is asker
