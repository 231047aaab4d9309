"""WeChat subscribe messages of a mini program. At least once, under a grant that each message uses up.

Calls and errors are those of the documented server interface (developers.weixin.qq.com, subscribeMessage.send and
getStableAccessToken): 43101 the member has not agreed or the grant is used up, 40003 no such openid, 40001 and 42001
the access token has run out, 45009 the day's quota is used up, 47003 a field breaks its rules, -1 try again.
"""

import asyncio
from typing import Any, Final

import httpx2
import msgspec

from events.times import NS_PER_S
from events.undecodable import UNDECODABLE
from services.notifier.addresses import check_address
from services.notifier.channels.guard import ForbiddenAddress, GuardedTransport
from services.notifier.dispatch.courier import RETRY_S, Later, Message, NoLonger, Outcome, Refused, Taken
from services.notifier.policy.judge import ChannelRules
from services.notifier.policy.purposes import Kind
from services.notifier.settings import WechatSettings
from services.notifier.texts.texts import LANGUAGES, Snippet, Texts

TIMEOUT_S: Final = 15.0
OK: Final = 0
BUSY: Final = -1
TOKEN_OVER: Final = frozenset({40001, 40014, 42001})
NO_GRANT: Final = 43101
QUOTA_USED_UP: Final = 45009
TOKEN_MARGIN_S: Final = 300
_encode: Final = msgspec.json.Encoder().encode


class _Answer(msgspec.Struct):
    errcode: int = 0
    errmsg: str = ""
    access_token: str = ""
    expires_in: int = 0


_answer_decoder: Final = msgspec.json.Decoder(_Answer)


class WechatCourier:
    """One mini program's subscribe messages."""

    name = "wechat"
    sends_once = False
    retry_s = RETRY_S

    def __init__(self, settings: WechatSettings, secret: str, texts: Texts, *, allow_private: bool = False) -> None:
        """Make it ready. Raises BadTemplate when a field of a template names what its kind does not have."""
        self.rules = ChannelRules(kind="wechat", takes_grant=True)
        self.concurrency = settings.concurrency
        self._settings = settings
        self._secret = secret
        self._texts = texts
        self._data: dict[tuple[Kind, str], dict[str, Snippet]] = {
            (kind, language): {
                field: texts.snippet(source, f"wechat.templates.{kind}.data.{field}", kind, language)
                for field, source in template.data.items()
            }
            for kind, template in settings.templates.items()
            for language in LANGUAGES
        }
        self._token = ""
        self._token_until_ns = 0
        self._asking = asyncio.Lock()
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(allow_private=allow_private),
            base_url=settings.api,
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
        )

    def carries(self, kind: Kind) -> bool:
        """Tell whether there is a template for a kind."""
        return kind in self._settings.templates

    async def carry(self, message: Message) -> Outcome:
        """Send one message; raises for what cannot be one."""
        body = _encode(self._document(message))
        try:
            answer = await self._send(message.at_ns, body)
            if answer.errcode in TOKEN_OVER:
                self._token_until_ns = 0
                answer = await self._send(message.at_ns, body)
        except ForbiddenAddress as forbidden:
            return Refused(str(forbidden))
        except (httpx2.HTTPError, OSError) as error:
            return Later(f"WeChat cannot be reached: {str(error) or type(error).__name__}", whole_channel=True)
        except UNDECODABLE:
            return Later("WeChat did not answer in JSON", whole_channel=True)
        return _outcome(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _document(self, message: Message) -> dict[str, Any]:
        check_address("wechat", message.address)
        # A grant is for one template, so each notice is a message of its own: nothing is gathered here.
        notice = message.notices[0]
        template = self._settings.templates[notice.kind]
        language = self._texts.language_of(message.language)
        snippets = self._data[(notice.kind, language)]
        return {
            "touser": message.address,
            "template_id": template.id,
            "page": template.page,
            "lang": "zh_CN" if language == "zh" else "en_US",
            "data": {
                field: {"value": snippet.render(notice.fields, notice.member)} for field, snippet in snippets.items()
            },
        }

    async def _send(self, now_ns: int, body: bytes) -> _Answer:
        token = await self._access_token(now_ns)
        if isinstance(token, _Answer):
            return token
        answer = await self._client.post(
            "/cgi-bin/message/subscribe/send",
            params={"access_token": token},
            content=body,
            headers={"content-type": "application/json"},
        )
        return _read(answer)

    async def _access_token(self, now_ns: int) -> "str | _Answer":
        """Return the access token, asked for anew when it has run out, or what was answered instead."""
        async with self._asking:
            if now_ns < self._token_until_ns:
                return self._token
            request = {"grant_type": "client_credential", "appid": self._settings.appid, "secret": self._secret}
            answer = _read(await self._client.post("/cgi-bin/stable_token", content=_encode(request)))
            if not answer.access_token:
                return answer if answer.errcode else _Answer(BUSY, "no access token was given")
            self._token = answer.access_token
            self._token_until_ns = now_ns + max(0, answer.expires_in - TOKEN_MARGIN_S) * NS_PER_S
            return self._token


def _read(answer: httpx2.Response) -> _Answer:
    if answer.status_code != httpx2.codes.OK:
        return _Answer(BUSY, f"status {answer.status_code}")
    return _answer_decoder.decode(answer.content)


def _outcome(answer: _Answer) -> Outcome:
    why = f"WeChat answered {answer.errcode} {answer.errmsg[:100]}"
    if answer.errcode == OK:
        return Taken()
    if answer.errcode == NO_GRANT:
        return NoLonger(why)
    if answer.errcode == BUSY:
        return Later(why)
    if answer.errcode in TOKEN_OVER or answer.errcode == QUOTA_USED_UP:
        return Later(why, whole_channel=True)
    return Refused(why)
