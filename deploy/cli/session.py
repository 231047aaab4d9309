"""A publisher for import and demo, which know more than others do.

The import is the only publisher of its market and so can say at which place in the intake a batch must stand; the
demo knows that the gateway is being killed and asks again soon. Everybody else uses `services.bus.client`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError

from deploy.cli.output import CommandError
from deploy.reach import close_quietly, connect_as
from events import subjects
from events.undecodable import UNDECODABLE

ATTEMPT_TIMEOUT_S: Final = 10.0
GIVE_UP_AFTER_S: Final = 60.0
RETRY_PAUSE_S: Final = 0.1
WRONG_LAST_SEQUENCE: Final = 10071


class _Error(msgspec.Struct):
    code: str
    message: str
    retry_after_s: int | None = None


class _Answer(msgspec.Struct):
    """What the gateway says: outcomes, or why there are none."""

    outcomes: list[dict[str, Any]] = []
    error: _Error | None = None


_answer_decoder: Final = msgspec.json.Decoder(_Answer)


class FenceBroken(Exception):
    """The intake did not stand where the publisher knew it to stand; nothing was published."""


class Session:
    """A connected publisher of one market. What it sends again are the same bytes, so that is safe."""

    def __init__(
        self, client: Client, market: str, publisher: str, attempt_timeout_s: float = ATTEMPT_TIMEOUT_S
    ) -> None:
        self.client = client
        self.market = market
        self.publisher = publisher
        self._attempt_timeout_s = attempt_timeout_s

    async def submit(self, family: str, body: bytes) -> list[dict[str, Any]]:
        """Return the outcomes of the events in `body`, one each and in order.

        Asked again with the same ids while the gateway is away; what was decided meanwhile comes back as
        `duplicate` with the original outcome. Raises CommandError when no answer comes for a minute.
        """
        subject = subjects.submit(self.market, self.publisher, family)
        said = "the gateway does not answer"
        try:
            async with asyncio.timeout(GIVE_UP_AFTER_S):
                while True:
                    try:
                        message = await self.client.request(subject, body, timeout=self._attempt_timeout_s)
                    except nats.errors.Error:
                        await asyncio.sleep(RETRY_PAUSE_S)
                        continue
                    answer = _read_answer(message.data)
                    if answer.error is None:
                        return answer.outcomes
                    if answer.error.retry_after_s is None:
                        raise CommandError(f"the gateway refuses the request: {answer.error.message}")
                    said = answer.error.message
                    await asyncio.sleep(RETRY_PAUSE_S)
        except TimeoutError:
            raise CommandError(
                f"no outcome within {GIVE_UP_AFTER_S:.0f} s ({said}): is the stack healthy? "
                "Sending the same events again, ids included, is safe"
            ) from None

    async def publish(self, family: str, body: bytes, *, last_seq: int | None = None) -> int:
        """Put `body` into the intake and return its sequence once the broker has it on disk.

        With `last_seq` only when the intake ends there (FenceBroken otherwise). Without it, an answer that got
        lost makes it come twice, which the market answers as duplicate.
        """
        subject = subjects.intake(self.market, self.publisher, family)
        headers = None if last_seq is None else {subjects.HEADER_LAST_SEQUENCE: str(last_seq)}
        js = self.client.jetstream(timeout=self._attempt_timeout_s)
        try:
            async with asyncio.timeout(GIVE_UP_AFTER_S):
                while True:
                    try:
                        return (await js.publish(subject, body, headers=headers)).seq
                    except APIError as error:
                        if error.err_code == WRONG_LAST_SEQUENCE:
                            raise FenceBroken(error.description) from None
                        raise CommandError(f"the broker refuses the event: {error.description}") from None
                    except nats.errors.Error:
                        await asyncio.sleep(RETRY_PAUSE_S)
        except TimeoutError:
            raise CommandError(f"the broker did not take the events within {GIVE_UP_AFTER_S:.0f} s") from None


@asynccontextmanager
async def connected(data: Path, nats_url: str, user: str) -> AsyncIterator[Client]:
    """Give a connection as a user. Raises CommandError when the broker is not there or refuses the key."""
    try:
        client = await connect_as(data, nats_url, user)
    except (nats.errors.Error, OSError) as error:
        raise CommandError(
            f"cannot connect to {nats_url} as {user}: {str(error) or type(error).__name__}; is the stack running?"
        ) from None
    try:
        yield client
    finally:
        await close_quietly(client)


@asynccontextmanager
async def session(
    data: Path, nats_url: str, market: str, publisher: str, attempt_timeout_s: float = ATTEMPT_TIMEOUT_S
) -> AsyncIterator[Session]:
    """Connect as a publisher that asks again after `attempt_timeout_s`. Raises CommandError when it cannot."""
    async with connected(data, nats_url, publisher) as client:
        yield Session(client, market, publisher, attempt_timeout_s)


def _read_answer(body: bytes) -> _Answer:
    try:
        return _answer_decoder.decode(body)
    except UNDECODABLE as error:
        raise CommandError(f"the gateway answered something else than outcomes: {error}") from None
