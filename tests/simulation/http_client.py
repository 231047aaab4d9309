"""Requests over HTTP to the gateway's own application, through the simulated network, and a client that retries."""

import asyncio
import contextvars
import json
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.bus.client import NotPublishedError, UnknownOutcomeError
from services.matcher.gateway.http_door import BATCH
from tests.simulation.loop import NODE

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMEOUT_S: Final = 15.0
PAUSE_MAX_S: Final = 5.0
TRY_AGAIN: Final = (429, 500, 503, 504)
Answer = tuple[int, bytes]


class Road:
    """The way between HTTP clients and the gateway; what is under way when the gateway dies is reset."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.drop_answers = 0
        """How many of the next answers are lost on the way."""

    def post(self, path: str, headers: dict[str, str], body: bytes) -> "asyncio.Future[Answer]":
        """Send a request; the answer comes, or ConnectionError, or nothing."""
        answer: asyncio.Future[Answer] = self._world.loop.create_future()
        self._world.network.later(0.0, self._arrive, path, headers, body, answer)
        return answer

    def _arrive(self, path: str, headers: dict[str, str], body: bytes, answer: "asyncio.Future[Answer]") -> None:
        gateway, node = self._world.running.get("gateway"), self._world.nodes["gateway"]
        if gateway is None or node.is_dead:
            self._fail(answer, ConnectionRefusedError("nobody listens"))
            return
        context = contextvars.copy_context()
        context.run(NODE.set, node)
        node.when_dead.append(lambda: self._fail(answer, ConnectionResetError("the gateway is gone")))
        task = self._world.loop.create_task(_call(gateway.http_door.app, path, headers, body), context=context)
        task.add_done_callback(lambda done: self._leave(done, answer), context=contextvars.copy_context())

    def _leave(self, done: "asyncio.Task[Answer]", answer: "asyncio.Future[Answer]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._fail(answer, ConnectionResetError("the gateway broke off"))
        elif self.drop_answers:
            self.drop_answers -= 1
            self._fail(answer, ConnectionResetError("the answer was lost"))
        else:
            self._world.network.later(0.0, _settle, answer, done.result())

    def _fail(self, answer: "asyncio.Future[Answer]", error: Exception) -> None:
        self._world.network.later(0.0, _break, answer, error)


def _settle(answer: "asyncio.Future[Answer]", found: Answer) -> None:
    if not answer.done():
        answer.set_result(found)


def _break(answer: "asyncio.Future[Answer]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


async def _call(app: Callable[..., Any], path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Have an ASGI application answer one request."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("simulated", 1),
        "server": ("simulated", 80),
    }
    told: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    return int(told[0]["status"]), b"".join(message.get("body", b"") for message in told[1:])


class HttpClient:
    """A publisher's client over HTTP: it sends the same bytes again until it gets an answer, or its time is over."""

    def __init__(self, road: Road, market: str, token: str) -> None:
        self._road = road
        self._path = f"/markets/{market}/events"
        self._headers = {"authorization": f"Bearer {token}", "content-type": BATCH}

    async def submit(self, events: list[dict[str, Any]], give_up_s: float) -> list[dict[str, Any]]:
        """Return the outcome of each event. Raises UnknownOutcomeError, NotPublishedError."""
        body = msgspec.json.encode(events)
        loop = asyncio.get_running_loop()
        give_up_at_s, pause_s = loop.time() + give_up_s, 0.1
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    status, answer = await self._road.post(self._path, self._headers, body)
            except (TimeoutError, ConnectionError) as error:
                status, answer = 503, repr(error).encode()
            if status == 200:
                outcomes: list[dict[str, Any]] = json.loads(answer)["outcomes"]
                return outcomes
            if status not in TRY_AGAIN:
                raise NotPublishedError(f"HTTP {status}: {answer[:200]!r}")
            if loop.time() + pause_s >= give_up_at_s:
                raise UnknownOutcomeError(f"HTTP {status}: {answer[:200]!r}")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
