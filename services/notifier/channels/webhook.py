"""Webhooks to backends, following Standard Webhooks (https://www.standardwebhooks.com, specification 1.0.0).

`webhook-id` is the notice's identity, made of decision, member, purpose and this endpoint: the same event again has the
same id, so a backend that remembers ids gets everything once.
"""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from events.times import NS_PER_S, format_time_ns
from services.bus.config import ConfigError
from services.notifier.channels.guard import ForbiddenAddress, GuardedTransport, check_address_allowed, is_address
from services.notifier.dispatch.courier import Gone, Later, Message, Outcome, Refused, Taken
from services.notifier.policy.judge import ChannelRules
from services.notifier.policy.purposes import Notice
from services.notifier.settings import Settings, WebhookSettings

TIMEOUT_S: Final = 15.0
RETRY_S: Final = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
GIVE_UP_AFTER_S: Final = 5 * 86_400.0
RETRY_AFTER_MAX_S: Final = 86_400.0
SECRET_MIN_BYTES: Final = 24
GONE: Final = 410
TOO_MANY: Final = 429
_encode: Final = msgspec.json.Encoder().encode


class WebhookCourier:
    """One endpoint of one backend."""

    sends_once = True
    retry_s = RETRY_S

    def __init__(self, settings: WebhookSettings, secrets: list[str]) -> None:
        """Make it ready. Raises ConfigError when a secret is none."""
        self.name = f"webhook:{settings.name}"
        self.rules = ChannelRules(kind="webhook", reaches_member=False)
        self.concurrency = settings.concurrency
        self._url = settings.url
        self._signers = [_signer(secret, settings.name) for secret in secrets]
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(allow_private=settings.allow_private, connections=settings.concurrency),
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
        )

    async def carry(self, message: Message) -> Outcome:
        """Post a message; any status of 2xx means that the backend has it."""
        body = _body(message)
        try:
            # The library's timeout counts anew for each piece that comes.
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._client.post(self._url, content=body, headers=self._headers(message, body))
        except ForbiddenAddress as forbidden:
            return Refused(str(forbidden))
        except (httpx2.TimeoutException, TimeoutError):
            return Later(f"no answer within {TIMEOUT_S:.0f} s")
        except (httpx2.TransportError, OSError) as error:
            return Later(f"no connection: {str(error) or type(error).__name__}")
        return _outcome(answer.status_code, answer.headers.get("retry-after"), message.at_ns)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        at = datetime.fromtimestamp(message.at_ns // NS_PER_S, UTC)
        message_id = f"msg_{message.id}"
        signatures = [signer.sign(message_id, at, body.decode()) for signer in self._signers]
        return {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "groupbuy-notifier/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(message.at_ns // NS_PER_S),
            "webhook-signature": " ".join(signatures),
        }


def webhook_courier(settings: WebhookSettings, whole: Settings) -> WebhookCourier:
    """Return the courier of an endpoint, its secrets read from their files. Raises ConfigError."""
    host = urlsplit(settings.url).hostname or ""
    try:
        # A name is looked up when something is sent; an address can be told here and now.
        if is_address(host):
            check_address_allowed(host, host, allow_private=settings.allow_private)
    except ForbiddenAddress as forbidden:
        raise ConfigError(f"webhooks.{settings.name}.url: {forbidden}") from None
    return WebhookCourier(settings, [whole.secret(path) for path in settings.secret_files])


def _signer(secret: str, name: str) -> Webhook:
    try:
        signer = Webhook(secret)
    except (ValueError, RuntimeError, EmptyWebhookSecretError):
        raise ConfigError(f"webhooks.{name}: a secret is not of the form whsec_<base64>") from None
    if len(signer._whsecret) < SECRET_MIN_BYTES:
        raise ConfigError(f"webhooks.{name}: a secret is shorter than {SECRET_MIN_BYTES} bytes")
    return signer


def _body(message: Message) -> bytes:
    first = message.notices[0]
    document: dict[str, Any] = {
        "type": f"groupbuy.{message.purpose}.{message.kind}",
        "timestamp": format_time_ns(first.at_ns),
        "data": _data(first),
    }
    return _encode(document)


def _data(notice: Notice) -> dict[str, Any]:
    entry, _, index = notice.decision.partition("/")
    return {"entry": entry, "decision": int(index) if index.isdigit() else 0, "member": notice.member, **notice.fields}


def _outcome(status: int, retry_after: str | None, at_ns: int) -> Outcome:
    if 200 <= status < 300:
        return Taken(delivered=True)
    if status == GONE:
        return Gone("the endpoint answered 410: it wants nothing more")
    why = f"the endpoint answered {status}"
    if 300 <= status < 400:
        why += ", and redirections are not followed"
    after_s = _retry_after_s(retry_after, at_ns)
    return Later(why, after_s, whole_channel=status == TOO_MANY and after_s is not None)


def _retry_after_s(value: str | None, at_ns: int) -> float | None:
    """Return the seconds that a header Retry-After asks to wait (RFC 9110, 10.2.3), None without a usable one."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(RETRY_AFTER_MAX_S, float(text))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(RETRY_AFTER_MAX_S, max(0.0, until.timestamp() - at_ns / NS_PER_S))
