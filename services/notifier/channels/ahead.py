"""Sending into an output stream without waiting for what was sent before to be stored."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import nats.errors

from services.bus.asking import Asker, asker_of
from services.bus.connect import ServiceBroker
from services.notifier.atomic import (
    CHAIN_MAX_MESSAGES,
    FenceLost,
    Outgoing,
    PublishFailed,
    end_of_stream,
    send_chain,
)
from services.notifier.channels import Bundle
from services.notifier.channels.envelopes import Envelopes
from services.notifier.channels.items import Item, items_of
from services.notifier.channels.stream_end import StreamEnd


class _Tip(NamedTuple):
    """Where the stream ends once everything sent is stored: the last sequence, and that message's id and record."""

    last_seq: int
    message_id: str
    journal_seq: int


class SendingAhead:
    """Sends bundles as one chain over all that is on its way: when one is not stored, none of those after it is."""

    def __init__(self, broker: ServiceBroker, end: StreamEnd, envelopes: Envelopes) -> None:
        self._broker = broker
        self._end = end
        self._envelopes = envelopes
        self._asker: Asker | None = None
        self._tip: _Tip | None = None
        self._unconfirmed = 0

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self._asker is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._unconfirmed == 0

    async def open(self) -> None:
        """Make ready for the answers of the broker."""
        self._asker = await asker_of(self._broker.client)

    def begin(self, bundles: Sequence[Bundle]) -> "asyncio.Task[None] | None":
        """Send bundles, and return what ends when they are stored; None when they must be delivered instead."""
        letters = sum([len(bundle.letters) for bundle in bundles])
        if not 0 < letters <= CHAIN_MAX_MESSAGES or not bundles[-1].letters or not self._may_send(bundles):
            return None
        items = list(items_of(bundles, 0))
        tip = self._tip or _Tip(self._end.last_seq, "", self._end.reached.position.seq)
        assert bundles[0].journal_seq > tip.journal_seq, "what is on its way is not sent again"
        messages = self._envelopes.all_placed(tip.last_seq + 1, items)
        client = self._broker.client
        assert self._asker is not None, "a channel that is sure has been opened"
        try:
            answer, message_id = send_chain(self._asker, client, messages, tip.last_seq, tip.message_id)
        except (nats.errors.Error, OSError):
            self._end.is_sure = False
            return None
        self._tip = _Tip(tip.last_seq + len(messages), message_id, bundles[-1].journal_seq)
        self._unconfirmed += 1
        return asyncio.create_task(self._confirm(answer, messages, items, tip.last_seq), name="notifier confirmation")

    def _may_send(self, bundles: Sequence[Bundle]) -> bool:
        if not self._end.is_sure or not self._end.reached.complete or not self._broker.client.is_connected:
            return False
        return not any(self._end.has(bundle.journal_seq, bundle.record_hash) for bundle in bundles)

    async def _confirm(
        self, answer: "asyncio.Future[bytes]", messages: Sequence[Outgoing], items: Sequence[Item], last_seq: int
    ) -> None:
        end = self._end
        try:
            end_seq = await end_of_stream(answer, messages, last_seq)
        except BaseException as error:
            end.tally.conflicts += end.is_sure and isinstance(error, FenceLost)
            end.is_sure = False
            raise
        finally:
            self._unconfirmed -= 1
            if self._unconfirmed == 0:
                self._tip = None
        if not end.is_sure:
            raise PublishFailed("what was sent before this was not stored")
        end.note_stored(end_seq, len(messages), items[-1].reached)
        end.tally.told += sum([item.letter.tells for item in items])
