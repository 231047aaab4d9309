"""The Python client for publishers: publish and be sure, or submit and get the outcome.

    async with await GroupBuyClient.connect(url, market="main", publisher="shop-a", seed_file=path) as client:
        event = new_event("order.posted", {"order": "o-1", "member": "m-1", "offer": "sample-tea"}, "/shop/checkout")
        (outcome,) = await client.submit(event)

Three traps of the library that this client steps around: `Nats-Msg-Id` is never sent, since the broker would
swallow a retry that the market answers; publishes during a reconnection are buffered and sent later, so a
timeout does not mean "not published" and is answered by trying again with the same id; and the library stops
reconnecting after 60 tries unless told otherwise.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import nats
import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError

from events import subjects
from events.ids import is_name
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from events.times import format_time_ns

PUBLISH_TIMEOUT_S: Final = 5.0
# The gateway gives up after 10 s and says so; only if it is away itself does this run out.
SUBMIT_TIMEOUT_S: Final = 12.0
GIVE_UP_S: Final = 60.0
# From here on an error of the broker is about its state and not about the message.
SERVER_ERROR: Final = 500
PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5
RECONNECT_WAIT_S: Final = 1
# Longer than an election among the nodes of a cluster takes.
DEAF_S: Final = 10.0
TYPE_PREFIX: Final = "groupbuy."
TYPE_SUFFIX: Final = ".v1"
FORBIDDEN_MAX: Final = 100
_FORBIDDEN: Final = "permissions violation for publish"
TRY_AGAIN_CODES: Final = frozenset({"busy", "unavailable", "pending"})

Event = Mapping[str, Any]
Outcome = dict[str, Any]

_encode: Final = msgspec.json.Encoder().encode


class LimitExceededError(ValueError):
    """An event or a batch is past a limit; nothing was sent. The message says which limit and what there was."""


class BadEventError(ValueError):
    """A document that cannot be sent as an event; nothing was sent. The message says what was expected."""


class NotPublishedError(Exception):
    """The market refused to take the events, and trying again does not help; the message says why."""


class UnknownOutcomeError(Exception):
    """The time ran out: the events may be published or not. Sending the same events again, ids included, is safe."""


class _Error(msgspec.Struct):
    code: str
    message: str
    retry_after_s: float = 0.0


class _Answer(msgspec.Struct):
    outcomes: list[Outcome] | None = None
    error: _Error | None = None


_answer_decoder: Final = msgspec.json.Decoder(_Answer)


class _NotYet(msgspec.Struct):
    """There are no outcomes yet; `why` is for whoever gives up."""

    why: str
    retry_after_s: float = 0.0


class GroupBuyClient:
    """One publisher's connection to one market."""

    def __init__(self, client: Client, market: str, publisher: str) -> None:
        """Use a connection that was made as the publisher, its inboxes under `_INBOX.<publisher>.`.

        `connect` makes such a connection; it also notices what the broker forbids, which a request cannot tell.
        """
        for name in (market, publisher):
            if not is_name(name):
                raise BadEventError(f"{name!r} is no name: expected 1 to 64 of A-Z a-z 0-9 _ -")
        self._client = client
        self._market = market
        self._publisher = publisher
        self._forbidden: list[str] = []
        # When this node was gone to: it is given its time.
        self._arrived_at_s = time.monotonic()

    @classmethod
    async def connect(
        cls, url: str, *, market: str = "main", publisher: str = "local", seed_file: Path | None = None
    ) -> Self:
        """Connect as `publisher` with the nkey seed in `seed_file`; reconnects for ever.

        `url` may name several nodes of a cluster, separated by commas.
        """
        forbidden: list[str] = []

        async def note(error: Exception) -> None:
            # The rest, reconnections above all, is the library's affair: it would print a traceback for each.
            if _FORBIDDEN in str(error).lower() and len(forbidden) < FORBIDDEN_MAX:
                forbidden.append(str(error).lower())

        options: dict[str, Any] = {}
        if seed_file is not None:
            options["nkeys_seed_str"] = await asyncio.to_thread(_read_seed, seed_file)
        client = await nats.connect(
            url.split(","),
            name=f"groupbuy publisher {publisher}",
            inbox_prefix=f"_INBOX.{publisher}",
            connect_timeout=CONNECT_TIMEOUT_S,
            reconnect_time_wait=RECONNECT_WAIT_S,
            max_reconnect_attempts=-1,
            error_cb=note,
            **options,
        )
        made = cls(client, market, publisher)
        made._forbidden = forbidden
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Send what is pending and close the connection."""
        try:
            await self._client.drain()
        except nats.errors.Error:
            await self._client.close()

    async def publish(self, event: Event) -> int:
        """Publish one event and return the sequence at which the broker stored it for good.

        Tries again, with the same bytes, until the broker says so. Raises LimitExceededError or BadEventError before
        anything is sent, NotPublishedError when the broker refuses, UnknownOutcomeError when the time runs out.
        """
        family, body = _encode_request(event)
        return await self._publish(family, body)

    async def publish_batch(self, events: Sequence[Event]) -> int:
        """Publish events of one family as one message and return the sequence at which it was stored.

        At most 1,000 events, 768 KiB together, 32 KiB each. Raises as `publish` does.
        """
        family, body = _encode_request(events)
        return await self._publish(family, body)

    async def submit(self, events: Event | Sequence[Event], give_up_s: float = GIVE_UP_S) -> list[Outcome]:
        """Submit one event, or a batch of one family, and return the outcome of each, in order.

        When no outcome comes, or the market is busy, tries again with the same ids and growing pauses: what was
        decided meanwhile comes as `duplicate` with the original outcome. Raises LimitExceededError or BadEventError
        before anything is sent, NotPublishedError when trying again does not help, UnknownOutcomeError after
        `give_up_s` seconds.
        """
        family, body = _encode_request(events)
        subject = subjects.submit(self._market, self._publisher, family)
        give_up_at_s, pause_s = time.monotonic() + give_up_s, PAUSE_MIN_S
        asked_at_s = time.monotonic()
        while True:
            answer = await self._ask(subject, body, give_up_at_s - time.monotonic())
            if not isinstance(answer, _NotYet):
                return answer
            if not answer.retry_after_s:
                await self._leave_deaf_node(asked_at_s)
            pause_s = await _pause_before_retry(max(pause_s, answer.retry_after_s), give_up_at_s, answer.why)

    async def _leave_deaf_node(self, asked_at_s: float) -> None:
        """Go to another node, if there is one, when this one has not answered for long after it was asked.

        A node that is cut off from the others keeps its connections, and can neither store nor answer.
        """
        deaf_s = time.monotonic() - max(asked_at_s, self._arrived_at_s)
        if len(self._client.servers) > 1 and deaf_s > DEAF_S:
            self._arrived_at_s = time.monotonic()
            await self._client.force_reconnect()

    async def _ask(self, subject: str, body: bytes, left_s: float) -> "list[Outcome] | _NotYet":
        """Return the outcomes, or why there are none yet."""
        try:
            answer = await self._client.request(subject, body, timeout=min(SUBMIT_TIMEOUT_S, max(left_s, 0.001)))
        except nats.errors.NoRespondersError:
            return _NotYet("no gateway answers for this market")
        except (nats.errors.TimeoutError, nats.errors.OutboundBufferLimitError) as error:
            self._refuse_forbidden(subject)
            return _NotYet(f"no answer came ({type(error).__name__})")
        document = _answer_decoder.decode(answer.data)
        if document.outcomes is not None:
            return document.outcomes
        if document.error is None or document.error.code not in TRY_AGAIN_CODES:
            raise NotPublishedError(
                f"{document.error.code}: {document.error.message}" if document.error else "no answer"
            )
        return _NotYet(document.error.message, document.error.retry_after_s)

    def _refuse_forbidden(self, subject: str) -> None:
        """Raise NotPublishedError when silence meant that the broker does not let this publisher send there."""
        if any(subject.lower() in refusal for refusal in self._forbidden):
            raise NotPublishedError(f"publisher {self._publisher!r} may not publish on {subject}")

    async def _publish(self, family: str, body: bytes) -> int:
        subject = subjects.intake(self._market, self._publisher, family)
        jetstream = self._client.jetstream(timeout=PUBLISH_TIMEOUT_S)
        give_up_at_s, pause_s = time.monotonic() + GIVE_UP_S, PAUSE_MIN_S
        asked_at_s = time.monotonic()
        while True:
            try:
                return (await jetstream.publish(subject, body)).seq
            except NoStreamResponseError:
                why = f"nothing takes {subject}: there is no market {self._market!r}, or it is not up yet"
                await self._leave_deaf_node(asked_at_s)
            except APIError as error:
                why = f"the market's intake refuses the message: {error.description}"
                if error.code is not None and error.code < SERVER_ERROR:
                    raise NotPublishedError(why) from None
            except (nats.errors.TimeoutError, nats.errors.OutboundBufferLimitError) as error:
                self._refuse_forbidden(subject)
                why = f"the broker did not confirm ({type(error).__name__})"
                await self._leave_deaf_node(asked_at_s)
            pause_s = await _pause_before_retry(pause_s, give_up_at_s, why)


def new_event(
    kind: str,
    data: Mapping[str, Any],
    source: str,
    event_id: str | None = None,
    time_text: str | None = None,
) -> dict[str, Any]:
    """Return a CloudEvents 1.0 document of type `kind`, e.g. "order.joined" or "groupbuy.order.joined.v1".

    `source` names the system it comes from, e.g. "/shop/checkout". Without `event_id` it gets a fresh one that sorts
    by time, without `time_text` (RFC 3339) the present. Keep the document: whoever retries sends the same one.
    """
    full_kind = kind if kind.startswith(TYPE_PREFIX) else f"{TYPE_PREFIX}{kind}{TYPE_SUFFIX}"
    return {
        "specversion": "1.0",
        "type": full_kind,
        "id": new_id() if event_id is None else event_id,
        "source": source,
        "time": format_time_ns(time.time_ns()) if time_text is None else time_text,
        "data": dict(data),
    }


def new_id() -> str:
    """Return a fresh id in the form of a UUID version 7: milliseconds first, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _encode_request(events: Event | Sequence[Event]) -> tuple[str, bytes]:
    """Return the family and the bytes of one event or of a batch. Raises LimitExceededError or BadEventError."""
    if isinstance(events, Mapping):
        return _family_of(events, None), _encode_event(events, None)
    if not events:
        raise BadEventError("the batch is empty: expected at least one event")
    if len(events) > BATCH_MAX_EVENTS:
        raise LimitExceededError(
            f"the batch has {len(events)} events; the limit is {BATCH_MAX_EVENTS}: send it in parts"
        )
    families = {_family_of(event, index) for index, event in enumerate(events)}
    if len(families) > 1:
        raise BadEventError(f"the batch has events of {', '.join(sorted(families))}: expected one family in a batch")
    body = b"[" + b",".join([_encode_event(event, index) for index, event in enumerate(events)]) + b"]"
    if len(body) > BATCH_MAX_BYTES:
        raise LimitExceededError(
            f"the batch is {len(body)} bytes; the limit is {BATCH_MAX_BYTES} (768 KiB): send it in parts"
        )
    return families.pop(), body


def _family_of(event: Event, index: int | None) -> str:
    kind = event.get("type")
    tokens = kind.split(".") if isinstance(kind, str) else []
    if len(tokens) < 3 or tokens[0] != "groupbuy" or not is_name(tokens[1]):
        raise BadEventError(f"{_which(index)} has type {kind!r}: expected groupbuy.<family>.<verb>.v1")
    return tokens[1]


def _encode_event(event: Event, index: int | None) -> bytes:
    try:
        body = _encode(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadEventError(f"{_which(index)} cannot be written as JSON: {error}") from None
    if len(body) > EVENT_MAX_BYTES:
        raise LimitExceededError(f"{_which(index)} is {len(body)} bytes; the limit is {EVENT_MAX_BYTES} (32 KiB)")
    return body


def _which(index: int | None) -> str:
    return "the event" if index is None else f"event {index} of the batch"


async def _pause_before_retry(pause_s: float, give_up_at_s: float, why: str) -> float:
    """Wait before the next try and return the pause after that. Raises UnknownOutcomeError when the time is over."""
    # Half of it is chance, so that a thousand clients do not come back in the same instant.
    wait_s = pause_s * random.uniform(0.5, 1.0)
    if time.monotonic() + wait_s >= give_up_at_s:
        raise UnknownOutcomeError(
            f"{why}; the events may be published or not: send the same events again, with the same ids"
        )
    await asyncio.sleep(wait_s)
    return min(2 * pause_s, PAUSE_MAX_S)


def _read_seed(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
