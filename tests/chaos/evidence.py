"""What is left when a round is over: every stream, read once, and what the clients remember."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.js import api

from events import subjects
from events.record import GENESIS, Entry, Record, decode_entry, decode_record, hash_bytes
from tests.chaos.arena import MARKET
from tests.chaos.shoppers import Memory

FETCH_MESSAGES: Final = 500
FETCH_TIMEOUT_S: Final = 5.0


class Violation(AssertionError):
    """A promise that did not hold."""


def must(holds: object, otherwise: str) -> None:
    """Raise Violation with a sentence unless something holds."""
    if not holds:
        raise Violation(otherwise)


class Message(msgspec.Struct, frozen=True):
    """A message of a stream."""

    seq: int
    subject: str
    message_id: str | None
    body: bytes


@dataclass
class Evidence:
    """The journal without strays, the output streams, and what clients were promised."""

    memory: Memory
    records: list[tuple[int, Record, bytes]]
    entries: list[Entry]
    outcomes: list[Message]
    results: list[Message]
    notes: dict[str, Any] = field(default_factory=dict)


async def read_stream(client: Client, name: str) -> list[Message]:
    """Return every message of a stream, in order."""
    jetstream = client.jetstream()
    reader = await jetstream.pull_subscribe("", stream=name, config=api.ConsumerConfig(ack_policy=api.AckPolicy.NONE))
    last_seq = (await jetstream.stream_info(name)).state.last_seq
    found: list[Message] = []
    while last_seq > (found[-1].seq if found else 0):
        for got in await reader.fetch(FETCH_MESSAGES, timeout=FETCH_TIMEOUT_S):
            headers = got.headers or {}
            message_id = headers.get(subjects.HEADER_MESSAGE_ID)
            found.append(Message(got.metadata.sequence.stream, got.subject, message_id, got.data))
    return found


async def gather(client: Client, memory: Memory) -> Evidence:
    """Read all streams as a user who may. Raises Violation where the journal is no chain."""
    records = chain_of(await read_stream(client, subjects.journal_stream(MARKET)))
    return Evidence(
        memory=memory,
        records=records,
        entries=[decode_entry(raw) for _, record, _ in records for raw in record.entries],
        outcomes=await read_stream(client, subjects.outcomes_stream(MARKET)),
        results=await read_stream(client, subjects.results_stream(MARKET)),
    )


def chain_of(messages: list[Message]) -> list[tuple[int, Record, bytes]]:
    """Return the records of a journal, each (sequence, record, bytes). Raises Violation where one does not follow."""
    records, prev = [], GENESIS
    for message in messages:
        if message.message_id != hash_bytes(message.body):
            continue
        record = decode_record(message.body)
        must(record.prev == prev, f"record {message.seq} follows {record.prev[:12]}, not {prev[:12]}")
        prev = hash_bytes(message.body)
        records.append((message.seq, record, message.body))
    return records
