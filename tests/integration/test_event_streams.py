"""Members' event streams: everything since where they left off, theirs alone, and nothing twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from deploy.broker import EmbeddedBroker
from deploy.permissions import NOTIFIER
from events.notice import SENT, decode_fact
from services.bus.connect import ServiceBroker
from services.bus.http import HttpServer
from services.notifier.dispatch.clock import SystemClock
from services.notifier.dispatch.store import Store
from services.notifier.http import MemberDoor
from services.notifier.settings import HttpSettings
from services.notifier.stream_facts import StreamFacts
from services.notifier.streams import ResultStreams
from services.notifier.tokens import Claims, sign_token
from tests.conftest import Connect
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import confirmed
from tests.notifier_setting import Setting, until

KEY = b"k" * 32
NOW_S = 1_000


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


@dataclass
class Door:
    """The notifier's HTTP port and what stands behind it."""

    server: HttpServer
    streams: ResultStreams
    store: Store
    service: ServiceBroker

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"


@pytest.fixture
async def door(setting: Setting) -> AsyncIterator[Door]:
    service = await setting.connect()
    streams = ResultStreams(service, MARKET, NOTIFIER)
    streams.start()
    store = Store(setting.config().data_dir, MARKET)
    settings = HttpSettings(port=0, streams_max=3)
    facts = StreamFacts(store, SystemClock())
    facts.start()
    server = MemberDoor(MARKET, KEY, streams, store, settings, facts, now_s=lambda: NOW_S).server()
    await server.start()
    yield Door(server, streams, store, service)
    await server.stop()
    await facts.stop()
    await streams.stop()
    await store.close()
    await service.stop()


def token(member: str | None = "ann", scope: str = "events", until_s: int = NOW_S + 60) -> str:
    return sign_token(KEY, Claims(market=MARKET, scope=scope, member=member, until_s=until_s))  # type: ignore[arg-type]


class Reading:
    """An open event stream: (id, entries) of each event, as they come."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""
        self.entries: list[str] = []

    async def opening(self) -> str:
        """Read what comes at once, and return the place."""
        await self._event()
        return self.last_id

    async def until_entries(self, count: int) -> list[str]:
        while len(self.entries) < count:
            await self._event()
        return self.entries

    async def _event(self) -> None:
        async with asyncio.timeout(30):
            while (line := await anext(self._lines)) != "":
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "data":
                    self.entries += [document["entry"] for document in json.loads(value)["results"]]


@asynccontextmanager
async def reading(door: Door, member: str = "ann", after: str | None = None) -> AsyncIterator[Reading]:
    headers = {"authorization": f"Bearer {token(member)}", **({"last-event-id": after} if after else {})}
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("GET", door.url(f"/members/{member}/events"), headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Reading(answer)


async def test_a_member_sees_its_own_results_as_they_come(setting: Setting, door: Door) -> None:
    async with setting.running() as running, reading(door) as stream:
        await stream.opening()
        for seq in range(1, 6):
            await setting.write(confirmed(2 * seq, member="ann"), confirmed(2 * seq + 1, member="bob"))
        await running.has_told(5)
        assert await stream.until_entries(5) == [f"{2 * seq}.0.0" for seq in range(1, 6)]


async def test_a_stream_goes_on_after_the_last_event_that_its_reader_has_seen(setting: Setting, door: Door) -> None:
    for seq in range(1, 6):
        await setting.write(confirmed(seq, member="ann"))
    await setting.tell_everything()
    async with reading(door, after="0") as stream:
        await stream.until_entries(2)
        seen, place = list(stream.entries), stream.last_id
    async with setting.running() as running, reading(door, after=place) as again:
        await setting.write(confirmed(6, member="ann"))
        await running.has_told(6)
        rest = await again.until_entries(6 - len(seen))
    assert seen + rest == [f"{seq}.0.0" for seq in range(1, 7)]


async def test_results_that_come_while_a_reader_catches_up_are_neither_lost_nor_repeated(
    setting: Setting, door: Door
) -> None:
    for seq in range(1, 100):
        await setting.write(confirmed(seq, member="ann"))
    await setting.tell_everything()
    async with setting.running() as running, reading(door, after="0") as stream:
        await stream.opening()
        for seq in range(100, 300):
            await setting.write(confirmed(seq, member="ann"))
        await running.has_told(299)
        assert await stream.until_entries(299) == [f"{seq}.0.0" for seq in range(1, 300)]


async def test_a_broker_that_restarts_costs_a_reader_nothing(setting: Setting, door: Door) -> None:
    async with setting.running(), reading(door) as stream:
        await stream.opening()
        await setting.write(confirmed(1, member="ann"))
        await stream.until_entries(1)
        place = stream.last_id
        setting.broker.kill()
        await setting.broker.start()
    await until(lambda: door.service.client.is_connected, "connected again")
    await until(lambda: setting.writer.client.is_connected, "the matcher too")
    await setting.write(confirmed(2, member="ann"))
    await setting.tell_everything()
    async with reading(door, after=place) as again:
        assert await again.until_entries(1) == ["2.0.0"]


async def test_without_a_token_for_this_member_and_this_time_nothing_is_told(door: Door) -> None:
    cases = [
        ({}, 401, "who are you"),
        ({"authorization": f"Bearer {token('bob')}"}, 403, "another member's"),
        ({"authorization": f"Bearer {token(until_s=NOW_S)}"}, 403, "expired"),
        ({"authorization": f"Bearer {token(None, 'addresses')}"}, 403, "is for addresses"),
        ({"authorization": "Bearer x.y"}, 403, "no token of this service"),
        ({"authorization": f"Bearer {token()}", "last-event-id": "seven"}, 400, "Last-Event-ID"),
    ]
    async with httpx2.AsyncClient(trust_env=False) as client:
        for headers, status, why in cases:
            answer = await client.get(door.url("/members/ann/events"), headers=headers)
            assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.text
    assert door.streams.readers == 0


async def test_a_browser_may_send_its_token_in_the_address(door: Door) -> None:
    async with (
        httpx2.AsyncClient(trust_env=False) as client,
        client.stream("GET", door.url(f"/members/ann/events?token={token()}")) as answer,
    ):
        assert answer.status_code == 200


async def test_more_streams_than_are_allowed_are_refused_until_one_ends(door: Door) -> None:
    async with reading(door) as one, reading(door, "bob"), reading(door, "cid"):
        await one.opening()
        await until(lambda: door.streams.readers == 3, "three readers")
        async with httpx2.AsyncClient(trust_env=False) as client:
            headers = {"authorization": f"Bearer {token('dan')}"}
            answer = await client.get(door.url("/members/dan/events"), headers=headers)
            assert answer.status_code == 503
    await until(lambda: door.streams.readers == 0, "they have gone")


async def test_a_backend_notes_and_forgets_an_address_with_its_own_token(door: Door) -> None:
    headers = {"authorization": f"Bearer {token(None, 'addresses')}"}
    url = door.url("/members/ann/addresses/email")
    async with httpx2.AsyncClient(trust_env=False) as client:
        noted = await client.put(url, json={"address": "ann@example.com"}, headers=headers)
        assert noted.status_code == 204
        assert await door.store.do(lambda: door.store.addresses.get("ann", "email")) == "ann@example.com"
        bad = await client.put(url, json={"address": "ann@example.com\r\nBcc: b@c.de"}, headers=headers)
        assert (bad.status_code, "injected" in bad.json()["error"]) == (400, True)
        for body in (b"{}", b"[", b'{"address":1}', b"x" * 5_000):
            assert (await client.put(url, content=body, headers=headers)).status_code in (400, 413)
        refused = await client.put(url, json={"address": "a@b.cd"}, headers={"authorization": f"Bearer {token()}"})
        assert refused.status_code == 403
        assert (await client.delete(url, headers=headers)).status_code == 204
    assert await door.store.do(lambda: door.store.addresses.get("ann", "email")) is None


async def test_what_went_out_by_an_event_stream_leaves_a_fact(setting: Setting, door: Door) -> None:
    async with setting.running() as running, reading(door) as stream:
        await stream.opening()
        await running.has_told(await setting.write(confirmed(1, member="ann"), confirmed(2, member="bob")))
        await stream.until_entries(1)
        rows: list[tuple[int, bytes]] = []
        for _ in range(1_000):
            rows = await door.store.do(lambda: door.store.outbox.facts_after(0, 10))
            if rows:
                break
            await asyncio.sleep(0.01)
    (fact,) = (decode_fact(body) for _, body in rows)
    assert (fact.type, fact.data.channel, fact.data.member) == (SENT, "sse", "ann")
    assert (fact.data.decision, fact.data.kind) == ("1.0.0", "seat.confirmed")


async def test_a_service_that_stops_lets_go_of_its_readers_at_once(setting: Setting, door: Door) -> None:
    """Else the server would wait for streams that never end by themselves, and cut them off in the end."""
    async with reading(door) as stream:
        await stream.opening()
        await door.streams.let_go()
        # It ends cleanly: a stream that is cut off raises here.
        while True:
            try:
                await stream.until_entries(1)
            except StopAsyncIteration:
                break
        assert door.streams.readers == 0
    assert stream.entries == []
