"""The notifier's HTTP port: members' event streams, and the address book for backends.

    GET    /members/<id>/events               server-sent events; resumes after `Last-Event-ID`
    PUT    /members/<id>/addresses/<channel>  notes an address: {"address": "..."}
    DELETE /members/<id>/addresses/<channel>  forgets it

Each with `Authorization: Bearer <token>`; an event stream also takes `?token=`, since a browser's EventSource can send
no headers.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from events.ids import is_name
from events.undecodable import UNDECODABLE
from services.bus.http import HttpServer
from services.bus.journal_stream import AWAY
from services.notifier.addresses import AddressBook, BadAddress
from services.notifier.dispatch.store import Store
from services.notifier.settings import HttpSettings
from services.notifier.stream_facts import StreamFacts
from services.notifier.streams import ResultStreams, Stored
from services.notifier.tokens import BadToken, check_token

KEEP_ALIVE_S: Final = 15.0
RETRY_MS: Final = 2_000
BODY_MAX_BYTES: Final = 4_096
SPARE_CONNECTIONS: Final = 64
SEQ_MAX_DIGITS: Final = 20


class _Address(msgspec.Struct, forbid_unknown_fields=True):
    address: str


class _Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class MemberDoor:
    """Serves one market's members."""

    def __init__(
        self,
        market: str,
        key: bytes,
        streams: ResultStreams,
        store: Store | None,
        settings: HttpSettings,
        facts: StreamFacts | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._market = market
        self._key = key
        self._streams = streams
        self._store = store
        self._settings = settings
        self._facts = facts
        self._now_s = now_s
        self.app = Starlette(
            routes=[
                Route("/members/{member}/events", self._events),
                Route("/members/{member}/addresses/{channel}", self._address, methods=["PUT", "DELETE"]),
            ],
            exception_handlers={_Refused: _refused},
        )

    def server(self) -> HttpServer:
        """Return the server, not started yet."""
        connections_max = self._settings.streams_max + SPARE_CONNECTIONS
        return HttpServer(self.app, self._settings.host, self._settings.port, connections_max=connections_max)

    async def _events(self, request: Request) -> Response:
        member = self._member(request)
        self._check(request, "events", member)
        if self._streams.readers >= self._settings.streams_max:
            raise _Refused(503, f"there are {self._settings.streams_max} event streams already: try again later")
        if self._streams.is_closing:
            raise _Refused(503, "the service is stopping: try again in a moment")
        after_seq = _last_event_id(request)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._told(member, after_seq), media_type="text/event-stream", headers=headers)

    async def _told(self, member: str, after_seq: int | None) -> AsyncIterator[bytes]:
        """Yield a member's events until the client goes or the broker does: the client comes back by itself."""
        try:
            async with self._streams.reading(member, after_seq) as reader:
                # A place to resume from at once, before anything has come.
                yield b"retry: %d\nid: %d\n\n" % (RETRY_MS, reader.after_seq)
                while not self._streams.is_closing:
                    caught_up = not reader.behind
                    stored = await self._streams.next(reader, KEEP_ALIVE_S)
                    if stored:
                        yield b"".join([_event(each) for each in stored])
                        # It is asked for the next only when this one is on its way.
                        if self._facts is not None:
                            await self._facts.note(member, stored)
                    elif caught_up:
                        yield b": still here\n\n"
        except AWAY:
            return

    async def _address(self, request: Request) -> Response:
        member = self._member(request)
        self._check(request, "addresses", None)
        store, channel = self._store, request.path_params["channel"]
        if store is None:
            raise _Refused(404, "no channel with addresses is configured")
        try:
            if request.method == "DELETE":
                await store.do(lambda: store.addresses.remove(member, channel))
            else:
                address = await _read_address(request)
                await store.do(lambda: _set(store.addresses, member, channel, address))
        except BadAddress as error:
            raise _Refused(400, str(error)) from None
        return Response(status_code=204)

    def _member(self, request: Request) -> str:
        member: str = request.path_params["member"]
        if not is_name(member):
            raise _Refused(400, "this is no member: expected 1 to 64 of A-Z a-z 0-9 _ -")
        return member

    def _check(self, request: Request, scope: str, member: str | None) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" and scope == "events":
            token = request.query_params.get("token", "")
        if not token.strip():
            raise _Refused(401, "who are you? expected a header `Authorization: Bearer <token>`")
        try:
            check_token(self._key, token.strip(), self._market, scope, self._now_s(), member)  # type: ignore[arg-type]
        except BadToken as bad:
            raise _Refused(403, str(bad)) from None


def _set(book: AddressBook, member: str, channel: str, address: str) -> None:
    book.set(member, channel, address)


def _event(stored: Stored) -> bytes:
    # A body is one line of JSON, whose line breaks are escaped; whatever else it were, it must not end the event.
    return b"id: %d\nevent: results\ndata: %b\n\n" % (stored.seq, stored.body.replace(b"\n", b" ").replace(b"\r", b" "))


def _last_event_id(request: Request) -> int | None:
    text = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= SEQ_MAX_DIGITS):
        raise _Refused(400, "Last-Event-ID is not one of ours: leave it out to begin with what comes next, or send 0")
    return int(text)


async def _read_address(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise _Refused(413, f"the body is longer than {BODY_MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(body, type=_Address).address
    except UNDECODABLE as error:
        raise _Refused(400, f'expected {{"address": "..."}}: {error}') from None


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused), "registered for this"
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    return JSONResponse({"error": str(error)}, error.status, headers)
