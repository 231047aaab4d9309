"""Real peers for the notifier's channels: a backend, a mail server and WeChat's stand-in, each on a free port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.ports import free_port
from services.bus.http import HttpServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class HandClock:
    """A clock that only tests move."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._moved = asyncio.Event()

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 1e9)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait(self, until_ns: int | None, woken: asyncio.Event) -> None:
        while not woken.is_set() and (until_ns is None or self._now_ns < until_ns):
            waiting = [asyncio.ensure_future(woken.wait()), asyncio.ensure_future(self._moved.wait())]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()


@dataclass
class Posted:
    """A request that a backend got."""

    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        read: dict[str, Any] = msgspec.json.decode(self.body)
        return read


@dataclass
class WebhookPeer:
    """A backend; `answer` makes its answer to each request."""

    answer: Callable[[Posted], Response] = lambda _: Response(status_code=204)
    delay_s: float = 0.0
    posted: list[Posted] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def _hook(self, request: Request) -> Response:
        posted = Posted(dict(request.headers), await request.body())
        self.posted.append(posted)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.answer(posted)

    @asynccontextmanager
    async def up(self, port: int = 0) -> AsyncIterator["WebhookPeer"]:
        routes = [
            Route("/hook", self._hook, methods=["POST"]),
            Route("/elsewhere", self._hook, methods=["GET", "POST"]),
        ]
        server = HttpServer(Starlette(routes=routes), "127.0.0.1", port or self.port)
        await server.start()
        self.port = server.port
        try:
            yield self
        finally:
            await server.stop()


@dataclass
class MailPeer:
    """A mail server; `answer` of a recipient or message other than 250 refuses it."""

    answer_rcpt: str = "250 OK"
    answer_data: str = "250 OK"
    mails: list[EmailMessage] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answer_rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer_rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer_data.startswith("250"):
            mail = message_from_bytes(envelope.content or b"", policy=default)  # type: ignore[arg-type]
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        return self.answer_data

    @asynccontextmanager
    async def up(self) -> AsyncIterator["MailPeer"]:
        self.port = self.port or free_port()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, hostname="mail.test", loop=loop, enable_SMTPUTF8=False), "127.0.0.1", self.port
        )
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()


@dataclass
class WechatPeer:
    """WeChat's server interface by its documented rules: a grant for a template is used up by one message."""

    appid: str = "wx1"
    secret: str = "s3cret"
    grants: dict[tuple[str, str], int] = field(default_factory=dict)
    openids: set[str] = field(default_factory=set)
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    tokens: int = 0
    token: str = ""
    port: int = 0

    def grant(self, openid: str, template: str, times: int = 1) -> None:
        self.openids.add(openid)
        self.grants[(openid, template)] = self.grants.get((openid, template), 0) + times

    def let_token_expire(self) -> None:
        self.token = "expired"

    async def _token(self, request: Request) -> Response:
        body = await request.json()
        if (body.get("appid"), body.get("secret")) != (self.appid, self.secret):
            return JSONResponse({"errcode": 40125, "errmsg": "invalid appsecret"})
        self.tokens += 1
        self.token = f"token-{self.tokens}"
        return JSONResponse({"access_token": self.token, "expires_in": 7200})

    async def _send(self, request: Request) -> Response:
        self.asked += 1
        body = await request.json()
        return JSONResponse(self._answer(request.query_params.get("access_token", ""), body))

    def _answer(self, token: str, body: dict[str, Any]) -> dict[str, Any]:
        openid, template = body.get("touser", ""), body.get("template_id", "")
        if token != self.token:
            return {"errcode": 40001, "errmsg": "invalid credential"}
        if openid not in self.openids:
            return {"errcode": 40003, "errmsg": "invalid openid"}
        # thing: at most 20 characters (the documented limit of a field of this kind).
        for name, field_ in body.get("data", {}).items():
            if name.startswith("thing") and not 0 < len(field_["value"]) <= 20:
                return {"errcode": 47003, "errmsg": f"argument invalid! data.{name}.value invalid"}
        if self.grants.get((openid, template), 0) < 1:
            return {"errcode": 43101, "errmsg": "user refuse to accept the msg"}
        self.grants[(openid, template)] -= 1
        self.taken.append(body)
        return {"errcode": 0, "errmsg": "ok"}

    @asynccontextmanager
    async def up(self) -> AsyncIterator["WechatPeer"]:
        routes = [
            Route("/cgi-bin/stable_token", self._token, methods=["POST"]),
            Route("/cgi-bin/message/subscribe/send", self._send, methods=["POST"]),
        ]
        server = HttpServer(Starlette(routes=routes), "127.0.0.1", self.port)
        await server.start()
        self.port = server.port
        try:
            yield self
        finally:
            await server.stop()
