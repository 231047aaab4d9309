"""Fenced publishing: messages that a stream takes in one go and in order, or not at all.

nats-py 2.16 has no publisher for atomic batches. What nats-server 2.15.1 does, read in its source and measured:

- A batch is named by `Nats-Batch-Id`, counted by `Nats-Batch-Sequence` from 1 and closed by `Nats-Batch-Commit: 1`;
  it has at most 1,000 messages, or as many as the broker's `limits { batch { max_msgs } }` says. Only its first
  message may carry `Nats-Expected-Last-Sequence`, and none may carry `Nats-Expected-Last-Msg-Id`. A batch with a gap
  is refused, one left open is dropped after 10 s.
- All this is looked at when a batch is closed: until then it lies beside the stream, one of at most 50.
- Errors come back for the commit only: 10071 and 10164 for the fence, 10176 for a gap, 10199 for too many messages,
  10201 for a message id that was seen before.
- Each batch makes and deletes a store of its own on the broker's disk: 2 ms of its time, however few the messages;
  a message alone costs 0.1 to 0.3 ms. So a few messages go as a chain instead: the id of each is its hash, and each
  names the sequence and the id before it, so that it is stored after exactly that message or not at all. A chain
  may continue the same chain of somebody else, and one's own that is not confirmed yet: if that fails, this does too.

No caller may rely on more than a chain gives: what was stored is a beginning of what was sent, nothing foreign in it.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import nats.errors
from nats.aio.client import Client

from events import subjects
from events.counted import counted
from events.undecodable import UNDECODABLE
from services.bus.asking import Ack, Asker, asker_of, decode_ack
from services.bus.wire import header_block, wire_of

# A batch costs the broker a store of its own: of 2,000 messages instead of 1,000 it took a tenth less in a busy market.
BATCH_MAX_MESSAGES: Final = 2_000
BATCH_USUAL_MAX_MESSAGES: Final = 1_000
"""What a broker takes that was not told to take more."""
BATCH_MAX_BYTES: Final = 4 * 1024 * 1024
CHAIN_MAX_MESSAGES: Final = 12
ACK_TIMEOUT_S: Final = 10.0
BATCH_ID_BYTES: Final = 8

HEADER_BATCH_ID: Final = "Nats-Batch-Id"
HEADER_BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
HEADER_BATCH_COMMIT: Final = "Nats-Batch-Commit"

_FENCE_ERRORS: Final = frozenset({10070, 10071, 10164, 10201})
_TOO_LARGE: Final = 10199


class FenceLost(Exception):
    """The stream does not end where it was expected to: somebody else has written, or an earlier try got through."""


class PublishFailed(Exception):
    """Whether the messages are stored is not known until the stream is looked at; the message says what happened."""


class BatchTooLarge(PublishFailed):
    """The broker takes no batches of so many messages; nothing of it is stored."""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One message; its headers make it differ from every other in its stream."""

    subject: str
    body: bytes
    headers: dict[str, str]


async def publish_fenced(client: Client, messages: Sequence[Outgoing], last_seq: int, *, whole: bool = False) -> int:
    """Append `messages` to the stream that ends at `last_seq`, and return where it ends then.

    At most BATCH_MAX_MESSAGES messages; with `whole` all of them or none, however few, at the price of a batch.
    Raises FenceLost when the stream ends elsewhere, and PublishFailed when it is not known; otherwise a beginning
    of the messages may be stored after either.
    """
    assert 1 <= len(messages) <= BATCH_MAX_MESSAGES, f"{len(messages)} messages"
    if not client.is_connected:
        # The client would keep them and send them after reconnecting, when nobody waits for the answer.
        raise PublishFailed("there is no connection to the broker")
    try:
        asker = await asker_of(client)
        if len(messages) == 1 or (len(messages) <= CHAIN_MAX_MESSAGES and not whole):
            answer, _ = send_chain(asker, client, messages, last_seq)
        else:
            answer = stage_batch(asker, client, messages, last_seq).close()
        return await end_of_stream(answer, messages, last_seq)
    except (nats.errors.Error, OSError) as error:
        raise PublishFailed(_unconfirmed(messages, error)) from error


async def end_of_stream(answer: "asyncio.Future[bytes]", messages: Sequence[Outgoing], last_seq: int) -> int:
    """Wait for the broker's answer to the last of `messages`, and return where the stream ends then.

    Raises as `publish_fenced` does.
    """
    try:
        ack = decode_ack(await answer)
    except nats.errors.NoRespondersError:
        raise PublishFailed(f"no stream takes {messages[-1].subject}") from None
    except (nats.errors.Error, TimeoutError, OSError, *UNDECODABLE) as error:
        raise PublishFailed(_unconfirmed(messages, error)) from error
    return _end_of_stream(ack, last_seq + len(messages))


def _unconfirmed(messages: Sequence[Outgoing], error: Exception) -> str:
    return f"the broker did not confirm {counted(len(messages), 'message')}: {str(error) or type(error).__name__}"


def _end_of_stream(ack: Ack, expected_seq: int) -> int:
    if ack.error is not None:
        if ack.error.err_code in _FENCE_ERRORS:
            raise FenceLost(ack.error.description)
        if ack.error.err_code == _TOO_LARGE:
            raise BatchTooLarge(f"the broker refuses: {ack.error.description}")
        raise PublishFailed(f"the broker refuses: {ack.error.description} ({ack.error.err_code})")
    if ack.duplicate or ack.seq != expected_seq:
        raise FenceLost(f"stored at {ack.seq}, not at {expected_seq}")
    return expected_seq


def send_chain(
    asker: Asker, client: Client, messages: Sequence[Outgoing], last_seq: int, id_before: str = ""
) -> tuple["asyncio.Future[bytes]", str]:
    """Send a chain to the stream that ends at `last_seq`, and return the coming answer and the id of its last message.

    `id_before` is the id of the message at `last_seq`, where it is known to be that of a chain.
    """
    wire, head = wire_of(client), b""
    for seq_before, message in enumerate(messages, start=last_seq):
        headers = {**message.headers, subjects.HEADER_LAST_SEQUENCE: str(seq_before)}
        if id_before:
            headers[subjects.HEADER_LAST_MESSAGE_ID] = id_before
        headers[subjects.HEADER_MESSAGE_ID] = id_before = _message_id(message)
        head = header_block(headers)
        if message is not messages[-1]:
            wire.send(message.subject, message.body, head=head)
    return asker.ask(messages[-1].subject, messages[-1].body, head, ACK_TIMEOUT_S), id_before


def _message_id(message: Outgoing) -> str:
    digest = hashlib.sha256(message.body)
    for part in (message.subject, *message.headers.values()):
        digest.update(b"\n%b" % part.encode())
    return digest.hexdigest()


class StagedBatch(NamedTuple):
    """A batch of which the broker has everything but the last message: nothing is stored before that comes."""

    asker: Asker
    closing: Outgoing

    def close(self) -> "asyncio.Future[bytes]":
        """Send the last message and return the coming answer. Raises what the connection raises."""
        closing = self.closing
        return self.asker.ask(closing.subject, closing.body, header_block(closing.headers), ACK_TIMEOUT_S)


def stage_batch(asker: Asker, client: Client, messages: Sequence[Outgoing], last_seq: int) -> StagedBatch:
    """Send a batch to the stream that will end at `last_seq` when it is closed, all but its last message.

    The broker looks at the fence when the batch is closed, so it may be staged before the stream ends there; one that
    is never closed is dropped. Raises what the connection raises.
    """
    assert 1 < len(messages) <= BATCH_MAX_MESSAGES, "the fence stands on the first message, the end on the last"
    if not client.is_connected:
        raise nats.errors.ConnectionReconnectingError
    wire, batch_id = wire_of(client), secrets.token_hex(BATCH_ID_BYTES)
    opening = f"NATS/1.0\r\n{HEADER_BATCH_ID}: {batch_id}\r\n{HEADER_BATCH_SEQUENCE}: "
    lines = f"{subjects.HEADER_LAST_SEQUENCE}: {last_seq}\r\n"
    for at, message in enumerate(messages[:-1], start=1):
        if message.headers:
            lines += "".join([f"{name}: {value}\r\n" for name, value in message.headers.items()])
        wire.send(message.subject, message.body, head=f"{opening}{at}\r\n{lines}\r\n".encode())
        lines = ""
    last = messages[-1]
    closing = {
        **last.headers,
        HEADER_BATCH_ID: batch_id,
        HEADER_BATCH_SEQUENCE: str(len(messages)),
        HEADER_BATCH_COMMIT: "1",
    }
    return StagedBatch(asker, Outgoing(last.subject, last.body, closing))
