"""One suite for every channel, each against a real peer: what a worker may rely on whichever way a message goes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.responses import Response

from deploy.broker import EmbeddedBroker
from deploy.permissions import NOTIFIER
from events import subjects
from services.notifier.channels.member_subject import MemberSubjectCourier
from services.notifier.dispatch.courier import Courier, Later, Message, NoLonger, Refused, Taken
from services.notifier.http import MemberDoor
from services.notifier.policy.purposes import Kind
from services.notifier.settings import HttpSettings, WechatTemplate
from services.notifier.streams import ResultStreams
from services.notifier.texts.texts import Texts
from services.notifier.tokens import Claims, sign_token
from tests.conftest import Connect
from tests.dispatch_setting import email_line, message, notice, webhook_line, wechat_courier
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_peers import MailPeer, WebhookPeer, WechatPeer
from tests.notifier_setting import Setting

OPENID = "o" * 28
ANN = "ann@example.com"
KEY = b"k" * 32
CHANNELS = ("nats", "sse", "webhook", "email", "wechat")


@dataclass
class Channel:
    """A courier, its peer, and how tests look at what arrived there."""

    courier: Courier
    address: str
    arrived: Callable[[], Awaitable[list[str]]]
    """What arrived, as text in which an order's number or an offer's name can be found."""
    identities: Callable[[], Awaitable[list[str]]]
    go_down: Callable[[], Awaitable[None]]


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


@pytest.fixture(params=CHANNELS)
async def channel(request: pytest.FixtureRequest, setting: Setting) -> AsyncIterator[Channel]:
    async with AsyncExitStack() as parts:
        made = await {
            "nats": _nats,
            "sse": _sse,
            "webhook": _webhook,
            "email": _email,
            "wechat": _wechat,
        }[request.param](setting, parts)
        parts.push_async_callback(made.courier.close)
        yield made


async def _nats(setting: Setting, parts: AsyncExitStack, kind: str = "nats") -> Channel:
    service = await setting.connect()
    parts.push_async_callback(service.stop)
    courier = MemberSubjectCourier(service, MARKET, Texts(), kind)

    async def documents() -> list[dict[str, Any]]:
        stored = await setting.stored()
        assert {each.subject for each in stored} <= {subjects.result(MARKET, "m-1")}
        return [document for each in stored for document in json.loads(each.body)["notices"]]

    async def arrived() -> list[str]:
        return [json.dumps(document, ensure_ascii=False) for document in await documents()]

    async def identities() -> list[str]:
        return [document["notice"] for document in await documents()]

    async def go_down() -> None:
        await setting.broker.stop()

    return Channel(courier, "", arrived, identities, go_down)


async def _sse(setting: Setting, parts: AsyncExitStack) -> Channel:
    """The same, as whoever reads the member's event stream sees it."""
    written = await _nats(setting, parts, "sse")
    service = await setting.connect()
    parts.push_async_callback(service.stop)
    streams = ResultStreams(service, MARKET, NOTIFIER)
    streams.start()
    parts.push_async_callback(streams.stop)
    server = MemberDoor(MARKET, KEY, streams, None, HttpSettings(port=0), now_s=lambda: 0).server()
    await server.start()
    parts.push_async_callback(server.stop)
    token = sign_token(KEY, Claims(market=MARKET, scope="events", member="m-1", until_s=1))

    async def documents() -> list[dict[str, Any]]:
        expected = len(await written.identities())
        found: list[dict[str, Any]] = []
        async with httpx2.AsyncClient(trust_env=False) as client:
            headers = {"authorization": f"Bearer {token}", "last-event-id": "0"}
            url = f"http://127.0.0.1:{server.port}/members/m-1/events"
            async with client.stream("GET", url, headers=headers, timeout=30) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                lines = answer.aiter_lines()
                while len(found) < expected:
                    line = await anext(lines)
                    if line.startswith("data: "):
                        found += json.loads(line[6:])["notices"]
        return found

    async def arrived() -> list[str]:
        return [json.dumps(document, ensure_ascii=False) for document in await documents()]

    async def identities() -> list[str]:
        return [document["notice"] for document in await documents()]

    return Channel(written.courier, "", arrived, identities, written.go_down)


async def _webhook(_: Setting, parts: AsyncExitStack) -> Channel:
    peer = WebhookPeer()
    up = await parts.enter_async_context(AsyncExitStack())
    await up.enter_async_context(peer.up())
    seen: set[str] = set()

    async def arrived() -> list[str]:
        return [posted.body.decode() for posted in peer.posted]

    async def identities() -> list[str]:
        # As Standard Webhooks asks of whoever receives: an id that was there is not dealt with again.
        found = [posted.headers["webhook-id"] for posted in peer.posted]
        return [each for each in found if not (each in seen or seen.add(each))]  # type: ignore[func-returns-value]

    return Channel(webhook_line(peer).courier, "", arrived, identities, up.aclose)


async def _email(_: Setting, parts: AsyncExitStack) -> Channel:
    peer = MailPeer()
    up = await parts.enter_async_context(AsyncExitStack())
    await up.enter_async_context(peer.up())

    async def arrived() -> list[str]:
        return [f"{' '.join(mail.keys())}\n{mail['Subject']}\n{mail.get_content()}" for mail in peer.mails]

    async def identities() -> list[str]:
        return [str(mail["Message-ID"]) for mail in peer.mails]

    return Channel(email_line(peer).courier, ANN, arrived, identities, up.aclose)


async def _wechat(_: Setting, parts: AsyncExitStack) -> Channel:
    peer = WechatPeer()
    up = await parts.enter_async_context(AsyncExitStack())
    await up.enter_async_context(peer.up())
    template = WechatTemplate(id="T", data={"thing1": "{{ offer }}"})
    peer.grant(OPENID, "T", 100)
    courier = wechat_courier(peer, {Kind.FILLED: template})

    async def arrived() -> list[str]:
        return [json.dumps(each, ensure_ascii=False) for each in peer.taken]

    async def identities() -> list[str]:
        return [f"{at}" for at in range(len(peer.taken))]

    return Channel(courier, OPENID, arrived, identities, up.aclose)


def to(channel: Channel, offer: str = "sample-tea", **more: Any) -> Message:
    return message(notice(fields={"offer": offer}), address=channel.address, **more)


async def test_what_is_taken_has_arrived_with_what_it_says(channel: Channel) -> None:
    assert isinstance(await channel.courier.carry(to(channel, "jasmine-tea")), Taken)
    (text,) = await channel.arrived()
    assert "jasmine-tea" in text


async def test_it_arrives_in_the_language_of_the_member(channel: Channel) -> None:
    assert isinstance(await channel.courier.carry(to(channel, language="zh-CN")), Taken)
    (text,) = await channel.arrived()
    if channel.courier.rules.kind in ("nats", "sse", "email"):
        assert "已成团" in text
    elif channel.courier.rules.kind == "wechat":
        assert '"lang": "zh_CN"' in text
    else:
        assert json.loads(text)["data"]["offer"] == "sample-tea", "a backend gets fields and writes its own text"


async def test_messages_sent_at_once_all_arrive(channel: Channel) -> None:
    outcomes = await asyncio.gather(
        *(channel.courier.carry(to(channel, f"offer-{at}", id=f"{at:032x}")) for at in range(20))
    )
    assert all(isinstance(outcome, Taken) for outcome in outcomes)
    texts = await channel.arrived()
    assert all(any(f"offer-{at}" in text for text in texts) for at in range(20))


async def test_a_repetition_is_told_by_its_identity_or_the_channel_says_that_it_is_not(channel: Channel) -> None:
    """A crash between sending and writing down sends the same message again."""
    for _ in range(2):
        assert isinstance(await channel.courier.carry(to(channel)), Taken)
    identities = await channel.identities()
    if channel.courier.sends_once:
        assert len(identities) == 1
    elif channel.courier.rules.kind == "email":
        assert len(set(identities)) == 1, "at least once: the same Message-ID"
    elif channel.courier.rules.kind == "wechat":
        assert len(identities) == 2, "at least once: documented"
    else:
        assert len(set(identities)) == 1, "the stream drops it within its window, and later it has the same identity"


async def test_a_peer_that_is_down_is_a_matter_of_later(channel: Channel) -> None:
    await channel.go_down()
    outcome = await channel.courier.carry(to(channel))
    assert isinstance(outcome, Later)
    assert outcome.why


@pytest.mark.parametrize("name", ["tea\r\nBcc: all@example.com", "tea\nX-Injected: 1", "tea\r\n\r\nbody", "茶\x00"])
async def test_a_line_break_in_a_name_injects_nothing(channel: Channel, name: str) -> None:
    """It is refused with its reason, or arrives as text and nothing else."""
    try:
        outcome = await channel.courier.carry(to(channel, name))
    except Exception:  # noqa: BLE001 - poison: a worker writes down what it raised
        assert await channel.arrived() == []
        return
    if isinstance(outcome, Taken):
        (text,) = await channel.arrived()
        if channel.courier.rules.kind == "email":
            headers = text.splitlines()[0].split()
            assert "Subject" in headers and not {"X-Injected", "Bcc"} & set(headers)
        else:
            read = msgspec.json.decode(text.encode())
            assert isinstance(read, dict), "still one document"


async def test_a_courier_says_how_it_may_be_used(channel: Channel) -> None:
    courier = channel.courier
    assert courier.rules.kind in CHANNELS
    assert courier.concurrency >= 1
    assert len(courier.retry_s) >= 5 and all(pause_s > 0 for pause_s in courier.retry_s)


# What only one of them does.


async def test_mail_is_refused_or_put_off_as_the_server_says() -> None:
    async with MailPeer().up() as peer:
        courier = email_line(peer).courier
        peer.answer_rcpt = "550 no such user"
        assert isinstance(await courier.carry(message(address=ANN)), Refused)
        peer.answer_rcpt = "451 try later"
        later = await courier.carry(message(address=ANN))
        assert isinstance(later, Later) and not later.whole_channel
        peer.answer_rcpt = "421 closing"
        down = await courier.carry(message(address=ANN))
        assert isinstance(down, Later) and down.whole_channel
        peer.answer_rcpt, peer.answer_data = "250 OK", "554 no"
        assert isinstance(await courier.carry(message(address=ANN)), Refused)
        assert peer.mails == []


async def test_a_digest_by_mail_says_everything_that_is_in_it() -> None:
    async with MailPeer().up() as peer:
        many = [notice(fields={"offer": f"offer-{at}"}) for at in range(7)]
        digest = message(*many, kind=Kind.DIGEST, address=ANN)
        assert isinstance(await email_line(peer).courier.carry(digest), Taken)
        (mail,) = peer.mails
        assert mail["Subject"] == "7 messages for you"
        assert all(f"offer-{at} " in mail.get_content() for at in range(7))


async def test_wechat_takes_one_grant_a_message_and_then_says_so() -> None:
    async with WechatPeer().up() as peer:
        courier = wechat_courier(peer)
        peer.grant(OPENID, "T-filled")
        assert isinstance(await courier.carry(message(address=OPENID)), Taken)
        used_up = await courier.carry(message(address=OPENID))
        assert isinstance(used_up, NoLonger) and "43101" in used_up.why
        assert isinstance(await courier.carry(message(address="x" * 28)), Refused)
        too_long = message(notice(fields={"offer": "t" * 21}), address=OPENID)
        refused = await courier.carry(too_long)
        assert isinstance(refused, Refused) and "47003" in refused.why
        await courier.close()


async def test_an_access_token_that_has_run_out_is_asked_for_anew() -> None:
    async with WechatPeer().up() as peer:
        courier = wechat_courier(peer)
        peer.grant(OPENID, "T-filled", 5)
        for _ in range(2):
            assert isinstance(await courier.carry(message(address=OPENID)), Taken)
        assert peer.tokens == 1, "one token serves many messages"
        peer.let_token_expire()
        assert isinstance(await courier.carry(message(address=OPENID)), Taken)
        assert peer.tokens == 2
        await courier.close()


async def test_an_endpoint_that_asks_to_slow_down_is_left_alone_as_a_whole() -> None:
    slow = WebhookPeer(answer=lambda _: Response(status_code=429, headers={"retry-after": "30"}))
    async with slow.up() as peer:
        outcome = await webhook_line(peer).courier.carry(message())
    assert outcome == Later("the endpoint answered 429", 30.0, whole_channel=True)
