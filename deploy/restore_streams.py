"""What is left of a market's streams, and making those anew that are lost: at their sequences, each under its fence."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from deploy.provision import API_TIMEOUT_S, ProvisionError, StreamLimits, stream_configs
from events import subjects
from events.record import hash_bytes
from services.ledger.archive import StoredRecord
from services.ledger.chain import Tip
from services.notifier.channels.place import HEADER_PLACE, place_header, reached_with
from services.notifier.channels.stream_end import MARKER

UNFINISHED: Final = "unfinished-"
"""Begins the identity of a journal that is being filled: no service takes it for the one that it will be."""
WINDOW_MESSAGES: Final = 64
WINDOW_BYTES: Final = 16 * 1024 * 1024
FILLER: Final = b"A message that was no record stood here. It was not archived, and is not needed."


class Left(StrEnum):
    """What is left of a stream."""

    NOTHING = "nothing"
    """It is not there."""
    EMPTY = "empty"
    """Another is there that holds nothing."""
    UNFINISHED = "unfinished"
    """A restoration began to fill it."""
    WHOLE = "whole"
    """It is what it was, as far as the ledger knows."""
    LONGER = "longer"
    """It holds records that the ledger has not."""
    CUT = "cut"
    """It is the stream that it was, without its end or with another one."""
    OTHER = "other"
    """Another is there, with messages of its own."""


class Found(msgspec.Struct, frozen=True):
    """A stream as it was found; `last_seq` and `messages` are 0 where there is none."""

    left: Left
    last_seq: int = 0
    messages: int = 0


class Streams:
    """A market's streams, looked at and made as the provisioner."""

    def __init__(self, client: Client, market: str, limits: StreamLimits | None = None) -> None:
        self._js: JetStreamContext = client.jetstream(timeout=API_TIMEOUT_S)
        self._market = market
        self._configs = {str(config.name): config for config in stream_configs(market, limits or StreamLimits())}

    async def look_at_journal(self, identity: str, tip: Tip) -> Found:
        """Compare the journal with the last record that is archived."""
        name = subjects.journal_stream(self._market)
        info = await self._info(name)
        if info is None:
            return Found(Left.NOTHING)
        known, state = _identity(info), info.state
        if known == UNFINISHED + identity:
            return Found(Left.UNFINISHED, state.last_seq, state.messages)
        if known != identity:
            return _other(state)
        if state.last_seq < tip.seq or await self._hash_at(name, tip.seq) != tip.hash:
            return Found(Left.CUT, state.last_seq, state.messages)
        is_longer = state.last_seq > tip.seq and await self._has_record_after(name, tip.seq, state.last_seq)
        return Found(Left.LONGER if is_longer else Left.WHOLE, state.last_seq, state.messages)

    async def look_at_intake(self, tip: Tip) -> Found:
        """Compare the intake with the last message that an archived record covers."""
        name = subjects.intake_stream(self._market)
        info = await self._info(name)
        if info is None:
            return Found(Left.NOTHING)
        state = info.state
        if _identity(info) != tip.intake:
            return _other(state)
        found = await self._hash_at(name, tip.through.seq)
        is_whole = state.last_seq >= tip.through.seq and found in (tip.through.hash, None)
        return Found(Left.WHOLE if is_whole else Left.CUT, state.last_seq, state.messages)

    async def first_of_intake(self, seq: int) -> tuple[str, bytes] | None:
        """Return identity and body of the message that an intake begins with at `seq`, None when there is none."""
        name = subjects.intake_stream(self._market)
        info = await self._info(name)
        found = None if info is None or info.state.first_seq != seq else await self._message(name, seq)
        return None if info is None or found is None else (_identity(info), found.data or b"")

    async def told_through(self, stream: str) -> int | None:
        """Return the record of the journal that an output stream was told of last, None where it does not say."""
        try:
            last = await self._js.get_last_msg(stream, ">")
        except NotFoundError:
            return None
        reached = reached_with(last.headers, stream, last.seq or 0)
        return None if reached is None else reached.position.seq

    async def look_at_output(self, stream: str) -> Found:
        """Tell whether an output stream is there and holds anything."""
        info = await self._info(stream)
        if info is None:
            return Found(Left.NOTHING)
        return Found(Left.EMPTY if info.state.last_seq == 0 else Left.WHOLE, info.state.last_seq, info.state.messages)

    async def make(self, name: str, first_seq: int = 1, identity: str | None = None) -> str:
        """Make a stream whose first message will have the sequence `first_seq`; return its identity."""
        config = self._configs[name].evolve(first_seq=first_seq)
        if identity is not None:
            config = config.evolve(metadata={subjects.IDENTITY_METADATA: identity})
        try:
            made = await self._js.add_stream(config)
        except APIError as error:
            raise ProvisionError(f"the broker cannot make the stream {name}: {error.description}") from None
        return _identity(made)

    async def rename(self, name: str, identity: str) -> None:
        """Give a stream another identity."""
        info = await self._js.stream_info(name)
        metadata = {**(info.config.metadata or {}), subjects.IDENTITY_METADATA: identity}
        await self._js.update_stream(info.config.evolve(metadata=metadata))

    async def delete(self, name: str) -> None:
        """Delete a stream and all that is in it."""
        await self._js.delete_stream(name)

    async def _info(self, name: str) -> api.StreamInfo | None:
        try:
            return await self._js.stream_info(name)
        except NotFoundError:
            return None

    async def _message(self, name: str, seq: int) -> api.RawStreamMsg | None:
        try:
            return await self._js.get_msg(name, seq=seq)
        except NotFoundError:
            return None

    async def _hash_at(self, name: str, seq: int) -> str | None:
        found = await self._message(name, seq)
        return None if found is None else hash_bytes(found.data or b"")

    async def _has_record_after(self, name: str, seq: int, last_seq: int) -> bool:
        for later in range(seq + 1, last_seq + 1):
            found = await self._message(name, later)
            own_hash = None if found is None else hash_bytes(found.data or b"")
            if found is not None and (found.headers or {}).get(subjects.HEADER_MESSAGE_ID) == own_hash:
                return True
        return False


async def fill_journal(matcher: Client, market: str, records: Iterable[StoredRecord], last_seq: int) -> int:
    """Publish archived records, as the matcher, each at its own sequence; `last_seq` is where the journal ends now.

    Where a stray stood, a message that is no record takes its place. Returns the last sequence. A record that
    would come to stand anywhere else is refused by its fence.
    """
    js = matcher.jetstream(timeout=API_TIMEOUT_S)
    subject = subjects.journal(market)
    for window in _windows(_messages(records, last_seq)):
        sent = [js.publish(subject, body, headers=_fenced(seq, own_hash)) for seq, body, own_hash in window]
        for (seq, _, _), ack in zip(window, await asyncio.gather(*sent), strict=True):
            if ack.seq != seq:
                raise ProvisionError(f"the broker put record {seq} of {market} at {ack.seq}: delete the journal stream")
        last_seq = window[-1][0]
    return last_seq


async def mark_output(notifier: Client, market: str, stream: str, record: int, record_hash: str) -> None:
    """Write into an empty output stream, as the notifier, that it counts as told through a record."""
    subject = (subjects.result if stream == subjects.results_stream(market) else subjects.outcome)(market, MARKER)
    headers = {HEADER_PLACE: place_header(stream, 1, record, 0, 0, record_hash), subjects.HEADER_LAST_SEQUENCE: "0"}
    body = msgspec.json.encode({"record": record, "hash": record_hash})
    await notifier.jetstream(timeout=API_TIMEOUT_S).publish(subject, body, headers=headers)


_Message = tuple[int, bytes, str | None]
"""Sequence, body, and its hash where it is a record."""


def _messages(records: Iterable[StoredRecord], last_seq: int) -> Iterator[_Message]:
    for record in records:
        yield from ((stray, FILLER, None) for stray in range(last_seq + 1, record.seq))
        yield record.seq, record.body, hash_bytes(record.body)
        last_seq = record.seq


def _windows(messages: Iterator[_Message]) -> Iterator[Sequence[_Message]]:
    window: list[_Message] = []
    size_bytes = 0
    for message in messages:
        if window and (len(window) == WINDOW_MESSAGES or size_bytes + len(message[1]) > WINDOW_BYTES):
            yield window
            window, size_bytes = [], 0
        window.append(message)
        size_bytes += len(message[1])
    if window:
        yield window


def _fenced(seq: int, own_hash: str | None) -> dict[str, str]:
    fence = {subjects.HEADER_LAST_SEQUENCE: str(seq - 1)}
    return fence if own_hash is None else {**fence, subjects.HEADER_MESSAGE_ID: own_hash}


def _identity(info: api.StreamInfo) -> str:
    return (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")


def _other(state: api.StreamState) -> Found:
    return Found(Left.EMPTY if state.messages == 0 else Left.OTHER, state.last_seq, state.messages)
