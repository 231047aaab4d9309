"""Sending into an output stream without waiting for what was sent before to be stored."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import NamedTuple

import nats.errors

from services.bus.asking import Asker, asker_of
from services.bus.connect import ServiceBroker
from services.notifier.atomic import (
    CHAIN_MAX_MESSAGES,
    BatchTooLarge,
    FenceLost,
    Outgoing,
    PublishFailed,
    end_of_stream,
    send_chain,
    stage_batch,
)
from services.notifier.channels import Bundle
from services.notifier.channels.envelopes import Envelopes
from services.notifier.channels.items import Item, chunks_of, items_of
from services.notifier.channels.stream_end import StreamEnd

_BEFORE_FAILED = "what was sent before this was not stored"


class _Tip(NamedTuple):
    """Where the stream ends once everything sent is stored: the last sequence, and that message's id and record."""

    last_seq: int
    message_id: str
    journal_seq: int


class _Round(NamedTuple):
    """What is sent at a time, after the message at `last_seq`."""

    last_seq: int
    items: list[Item]
    messages: list[Outgoing]


class SendingAhead:
    """Sends bundles while others are on their way: when one round is not stored, none of those after it is.

    Rounds are all chains or all batches. A chain goes over all that is on its way, since each message names the one
    before it. A batch cannot name that: its messages go ahead, and its last one, without which the broker stores
    nothing of it, when the batch before it is known to be stored.
    """

    def __init__(self, broker: ServiceBroker, end: StreamEnd, envelopes: Envelopes) -> None:
        self._broker = broker
        self._end = end
        self._envelopes = envelopes
        self._asker: Asker | None = None
        self._tip: _Tip | None = None
        self._on_the_way: list[asyncio.Task[None]] = []

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self._asker is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._on_the_way

    async def until_idle(self) -> None:
        """Return once everything that is on its way is stored, or known not to be."""
        while self._on_the_way:
            await asyncio.wait(self._on_the_way)

    async def open(self) -> None:
        """Make ready for the answers of the broker."""
        self._asker = await asker_of(self._broker.client)

    def chain(self, bundles: Sequence[Bundle]) -> "asyncio.Task[None] | None":
        """Send bundles, and return what ends when they are stored; None when they must be delivered instead."""
        if not 0 < _letters(bundles) <= CHAIN_MAX_MESSAGES or not self._may_send(bundles):
            return None
        tip = self._tip_before(bundles)
        items = list(items_of(bundles, 0))
        sent = _Round(tip.last_seq, items, self._envelopes.all_placed(tip.last_seq + 1, items))
        try:
            answer, message_id = send_chain(
                self._open_asker, self._broker.client, sent.messages, tip.last_seq, tip.message_id
            )
        except (nats.errors.Error, OSError):
            self._end.is_sure = False
            return None
        return self._begun(sent, message_id, self._confirm(sent, answer))

    def stage(self, bundles: Sequence[Bundle]) -> "asyncio.Task[None] | None":
        """Send bundles but for their last message, which follows; return what ends when they are stored.

        None when they must be delivered instead.
        """
        if _letters(bundles) <= CHAIN_MAX_MESSAGES or not self._may_send(bundles):
            return None
        batches = list(self._batches(self._tip_before(bundles).last_seq, bundles))
        if any(len(batch.messages) == 1 for batch in batches):
            return None
        for batch in batches:
            try:
                staged = stage_batch(self._open_asker, self._broker.client, batch.messages, batch.last_seq)
            except (nats.errors.Error, OSError):
                self._end.is_sure = False
                return None
            before = self._on_the_way[-1] if self._on_the_way else None
            stored = self._begun(batch, "", self._close(batch, staged.close, before))
        return stored

    def _batches(self, last_seq: int, bundles: Sequence[Bundle]) -> Iterator[_Round]:
        for items in chunks_of(items_of(bundles, 0), self._end.batch_max_messages):
            messages = self._envelopes.batch(last_seq + 1, items)
            yield _Round(last_seq, items, messages)
            last_seq += len(messages)

    @property
    def _open_asker(self) -> Asker:
        assert self._asker is not None, "a channel that is sure has been opened"
        return self._asker

    def _may_send(self, bundles: Sequence[Bundle]) -> bool:
        if not bundles[-1].letters or not self._broker.client.is_connected:
            return False
        if not self._end.is_sure or (self._tip is None and not self._end.reached.complete):
            return False
        return not any(self._end.has(bundle.journal_seq, bundle.record_hash) for bundle in bundles)

    def _tip_before(self, bundles: Sequence[Bundle]) -> _Tip:
        tip = self._tip or _Tip(self._end.last_seq, "", self._end.reached.position.seq)
        assert bundles[0].journal_seq > tip.journal_seq, "what is on its way is not sent again"
        return tip

    def _begun(self, sent: _Round, message_id: str, confirming: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(confirming, name="notifier confirmation")
        self._on_the_way.append(task)
        task.add_done_callback(self._note_ended)
        self._tip = _Tip(sent.last_seq + len(sent.messages), message_id, sent.items[-1].bundle.journal_seq)
        return task

    def _note_ended(self, task: "asyncio.Task[None]") -> None:
        self._on_the_way.remove(task)
        if not task.cancelled():
            task.exception()  # of a round that was begun by half nobody else would ask
        if not self._on_the_way:
            self._tip = None

    async def _close(
        self, sent: _Round, close: Callable[[], "asyncio.Future[bytes]"], before: "asyncio.Task[None] | None"
    ) -> None:
        """Have a staged batch stored once the one before it is; where that is not, it is never closed."""
        if before is not None:
            await asyncio.wait({before})
            if before.cancelled() or before.exception() is not None:
                self._end.is_sure = False
        if not self._end.is_sure:
            raise PublishFailed(_BEFORE_FAILED)
        try:
            answer = close()
        except (nats.errors.Error, OSError) as error:
            self._end.is_sure = False
            raise PublishFailed(f"a batch could not be closed: {str(error) or type(error).__name__}") from error
        await self._confirm(sent, answer)

    async def _confirm(self, sent: _Round, answer: "asyncio.Future[bytes]") -> None:
        end = self._end
        try:
            end_seq = await end_of_stream(answer, sent.messages, sent.last_seq)
        except BaseException as error:
            end.tally.conflicts += end.is_sure and isinstance(error, FenceLost)
            if isinstance(error, BatchTooLarge):
                end.note_too_large()
            end.is_sure = False
            raise
        if not end.is_sure:
            raise PublishFailed(_BEFORE_FAILED)
        end.note_stored(end_seq, len(sent.messages), sent.items[-1].reached)
        end.tally.told += sum([item.letter.tells for item in sent.items])


def _letters(bundles: Sequence[Bundle]) -> int:
    return sum([len(bundle.letters) for bundle in bundles])
