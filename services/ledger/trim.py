"""Trimming the intake: what is archived may go, up to a margin, and what may not be kept goes without one."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import nats.errors
from nats.js import api
from nats.js.errors import APIError

from events import subjects
from events.record import decode_record
from services.bus.connect import ServiceBroker
from services.ledger.chain import Tip

LOOK_INTERVAL_S: Final = 10.0
_KEPT_AS_HASH: Final = b'"keyed_hash":"'
_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_log: Final = logging.getLogger("groupbuy.ledger")


class _Position(msgspec.Struct):
    """Only the intake message of an entry."""

    seq: int


_position_decoder: Final = msgspec.json.Decoder(_Position)


class TrimPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the intake is trimmed, and how much of what is archived stays in it all the same.

    The last `keep_messages` up to the last one archived stay, but no more than `keep_share` of the bytes that
    the stream may hold: a stream full of what is archived already would refuse what is new. Fewer than
    `worth_messages` are not worth a request, unless the stream is filled to `filling_share`.
    """

    enabled: bool = True
    keep_messages: int = 100_000
    keep_share: float = 0.25
    worth_messages: int = 10_000
    filling_share: float = 0.5


def first_to_keep(tip: Tip, state: api.StreamState, max_bytes: int, policy: TrimPolicy, not_to_be_kept: int = 0) -> int:
    """Return the sequence before which the intake may be trimmed, at most that of the last message archived.

    That message itself always stays: the matcher compares it with the journal when it starts. `not_to_be_kept` is the
    last message of which the log keeps only length and keyed hash: no margin keeps that one.
    """
    keep = policy.keep_messages
    if max_bytes > 0 and state.messages > 0 and state.bytes > 0:
        keep = min(keep, int(policy.keep_share * max_bytes * state.messages / state.bytes))
    margin = max(1, tip.through.seq - max(0, keep))
    return max(margin, min(not_to_be_kept + 1, tip.through.seq))


def last_not_kept(bodies: Iterable[bytes]) -> int:
    """Return the last intake message of which these records keep only length and keyed hash, 0 for none.

    What could not be read, or names a person, must not stay in the intake either.
    """
    last = 0
    for body in bodies:
        # Nearly no record has one, and looking for it costs a tenth of decoding the record.
        if _KEPT_AS_HASH not in body:
            continue
        for raw in decode_record(body).entries:
            if _KEPT_AS_HASH in bytes(raw):
                last = max(last, _position_decoder.decode(raw).seq)
    return last


class IntakeTrimmer:
    """Looks at the intake from time to time and trims what is archived."""

    def __init__(
        self, broker: ServiceBroker, market: str, policy: TrimPolicy, archived: Callable[[], Tip | None]
    ) -> None:
        self._broker = broker
        self._stream = subjects.intake_stream(market)
        self._policy = policy
        self._archived = archived
        self.trimmed_to = 0
        self.not_to_be_kept = 0
        """The last message archived that must not stay in the intake."""
        self.trouble: str | None = None

    async def run(self) -> None:
        """Trim until cancelled."""
        while self._policy.enabled:
            await asyncio.sleep(LOOK_INTERVAL_S)
            tip = self._archived()
            if tip is not None and self._broker.client.is_connected:
                await self.look(tip)

    async def look(self, tip: Tip) -> None:
        """Trim up to what is archived if it is worth the while; a broker that does not answer is asked again later."""
        try:
            info = await self._broker.jetstream.stream_info(self._stream)
            if not self._is_decided_from(info, tip):
                return
            await self._trim(info, tip)
            self.trouble = None
        except (*_AWAY, APIError) as error:
            self.trouble = f"the intake {self._stream} cannot be trimmed: {str(error) or type(error).__name__}"
            _log.warning("%s", self.trouble)

    def _is_decided_from(self, info: api.StreamInfo, tip: Tip) -> bool:
        identity = (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")
        if identity == tip.intake:
            return True
        self.trouble = (
            f"the intake {self._stream} is not the stream that was archived ({identity[:16] or 'no identity'} instead "
            f"of {tip.intake[:16]}): nothing in it is trimmed"
        )
        _log.error("%s", self.trouble)
        return False

    async def _trim(self, info: api.StreamInfo, tip: Tip) -> None:
        max_bytes = info.config.max_bytes or 0
        keep_from = first_to_keep(tip, info.state, max_bytes, self._policy, self.not_to_be_kept)
        gone = keep_from - info.state.first_seq
        is_filling = max_bytes > 0 and info.state.bytes > self._policy.filling_share * max_bytes
        must_go = info.state.first_seq <= self.not_to_be_kept < keep_from
        if gone <= 0 or (gone < self._policy.worth_messages and not is_filling and not must_go):
            return
        # The client leaves a sequence of 0 out of the request, and the broker would then purge everything.
        assert 1 < keep_from <= tip.through.seq, "what is not archived is not touched"
        await self._broker.jetstream.purge_stream(self._stream, seq=keep_from)
        self.trimmed_to = keep_from - 1
        _log.info("the intake was trimmed up to message %d; archived is %d", keep_from - 1, tip.through.seq)
