"""The door on HTTP: events and share links with a bearer token, and what operators look at."""

import asyncio
import time
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from events.limits import BATCH_MAX_BYTES
from services.bus.health import METRICS_CONTENT_TYPE, Health
from services.matcher.gateway.answers import Code, Refusal, batch_too_large
from services.matcher.gateway.figures import Figures
from services.matcher.gateway.gather import Gatherer
from services.matcher.gateway.links import Links
from services.matcher.gateway.peers import Peers
from services.matcher.gateway.tokens import Tokens

BODY_TIMEOUT_S: Final = 30.0
JSON: Final = "application/json"
SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_SPACE: Final = b" \t\r\n"

ABOUT: Final = """\
groupbuy gateway, market {market}

POST /markets/{market}/events   one CloudEvents 1.0 event, or a JSON array of at most 1,000, each at most 32 KiB;
                                Authorization: Bearer <token>; Content-Type: application/cloudevents+json,
                                application/cloudevents-batch+json or application/json.
                                Answers {{"outcomes": [...]}}, one for each event, in order.
GET  /markets/{market}/links/<link>   whether the market allowed a share link; Authorization: Bearer <token>.
                                Answers {{"good": true, "inviter": ...}} or {{"good": false, "fault": ...}}.
GET  /healthz                   200 while everything accepted is being decided, archived and notified
GET  /metrics                   figures of all services, for Prometheus
"""


class HttpDoor:
    """Takes requests over HTTP and waits for their outcomes."""

    def __init__(
        self,
        market: str,
        gatherer: Gatherer,
        tokens: Tokens,
        health: Health,
        figures: Figures,
        peers: Peers,
        links: Links | None = None,
    ) -> None:
        self._market = market
        self._gatherer = gatherer
        self._tokens = tokens
        self._health = health
        self._figures = figures
        self._peers = peers
        self._links = links
        self.app = Starlette(
            routes=[
                Route("/", self._about),
                Route("/markets/{market}/events", self._events, methods=["POST"]),
                Route("/markets/{market}/links/{token}", self._link),
                Route("/healthz", self._healthz),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={404: self._not_found, 405: self._not_found},
        )

    async def _events(self, request: Request) -> Response:
        try:
            publisher = self._authenticate(request)
            self._check_market(request)
            kind = _content_type(request)
            body = await _read_body(request)
            _check_form(kind, body)
            answer = await self._submit(publisher, body)
        except ClientDisconnect:
            return Response(status_code=400)
        except Refusal as refusal:
            self._figures.errors.labels(refusal.error.code).inc()
            return _refused(refusal)
        return Response(answer, media_type=JSON)

    async def _link(self, request: Request) -> Response:
        try:
            self._authenticate(request)
            self._check_market(request)
            if self._links is None:
                raise Refusal(Code.NOT_FOUND, "this gateway was not told the key of links: see its `link_key_file`")
        except Refusal as refusal:
            self._figures.errors.labels(refusal.error.code).inc()
            return _refused(refusal)
        answer = self._links.check(request.path_params["token"], int(time.time()))
        return Response(msgspec.json.encode(answer), media_type=JSON, headers={"cache-control": "no-store"})

    def _check_market(self, request: Request) -> None:
        if request.path_params["market"] != self._market:
            raise Refusal(Code.NOT_FOUND, f"there is no such market here; this gateway serves {self._market!r}")

    def _authenticate(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(Code.UNAUTHORIZED, "who are you? expected a header `Authorization: Bearer <token>`")
        publisher = self._tokens.publisher_of(token.strip())
        if publisher is None:
            raise Refusal(
                Code.UNAUTHORIZED, "this bearer token is nobody's here; ask the operator of the market for one"
            )
        return publisher

    async def _submit(self, publisher: str, body: bytes) -> bytes:
        outcome: asyncio.Future[bytes | Refusal] = asyncio.get_running_loop().create_future()

        def tell(answer: bytes | Refusal) -> None:
            # Nobody waits any more when the client has gone away.
            if not outcome.done():
                outcome.set_result(answer)

        self._gatherer.submit(publisher, body, None, tell)
        answer = await outcome
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def _about(self, _: Request) -> Response:
        return PlainTextResponse(ABOUT.format(market=self._market))

    async def _healthz(self, _: Request) -> Response:
        report = await self._peers.sum_up(self._health.report())
        return Response(msgspec.json.encode(report), report.http_status, media_type=JSON)

    async def _metrics(self, _: Request) -> Response:
        return Response(await self._peers.all_metrics(self._figures.metrics.render()), media_type=METRICS_CONTENT_TYPE)

    async def _not_found(self, request: Request, _: Exception) -> Response:
        message = f"there is no {request.method} {request.url.path[:200]} here; GET / tells what there is"
        return _refused(Refusal(Code.NOT_FOUND, message))


def _content_type(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, SINGLE, BATCH):
        raise Refusal(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f"the content type is {kind[:100] or 'missing'}; expected {SINGLE} for one event, {BATCH} for an array "
            f"of events, or {JSON} for either",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(Code.UNSUPPORTED_MEDIA_TYPE, "the body is compressed; expected it without content encoding")
    return kind


async def _read_body(request: Request) -> bytes:
    """Return the body, giving up as soon as it is longer than any batch may be."""
    claimed = request.headers.get("content-length", "")
    if claimed.isdigit() and int(claimed) > BATCH_MAX_BYTES:
        raise batch_too_large(int(claimed))
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BATCH_MAX_BYTES:
                    raise batch_too_large(len(body))
    except TimeoutError:
        raise Refusal(Code.BAD_REQUEST, f"the body did not come within {BODY_TIMEOUT_S:.0f} s") from None
    return bytes(body)


def _check_form(kind: str, body: bytes) -> None:
    is_array = body.lstrip(_SPACE)[:1] == b"["
    if (kind == SINGLE and is_array) or (kind == BATCH and not is_array):
        found, other = ("an array", BATCH) if is_array else ("not an array", SINGLE)
        raise Refusal(Code.BAD_REQUEST, f"the content type is {kind}, but the body is {found}; expected {other}")


def _refused(refusal: Refusal) -> Response:
    headers = {}
    if refusal.error.retry_after_s is not None:
        headers["retry-after"] = str(refusal.error.retry_after_s)
    if refusal.error.code is Code.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(refusal.encode(), refusal.http_status, headers, media_type=JSON)
