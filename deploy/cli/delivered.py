"""Counting what stands in the members' results, as whoever serves the members would read it."""

import time
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js import api

from events import subjects

FETCH_MESSAGES: Final = 500
FETCH_TIMEOUT_S: Final = 1.0
STALLED_AFTER_S: Final = 20.0


class _Letter(msgspec.Struct):
    """A message to one member: the results of one record."""

    results: list[msgspec.Raw] = []


_decoder: Final = msgspec.json.Decoder(_Letter)


async def count_results(client: Client, market: str, expected: int) -> int:
    """Return how many results stand in the market's stream, waiting until `expected` do or nothing more comes.

    `client` must be allowed to read the stream, as the provisioner is.
    """
    stream = subjects.results_stream(market)
    reader = await client.jetstream().pull_subscribe(
        "",
        stream=stream,
        config=api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, deliver_policy=api.DeliverPolicy.ALL),
    )
    found, seen_seq, moved_at_s = 0, 0, time.monotonic()
    while time.monotonic() - moved_at_s < STALLED_AFTER_S:
        last_seq = (await client.jetstream().stream_info(stream)).state.last_seq
        # To the end even when enough is there: what was sent too often stands after what was expected.
        if found >= expected and seen_seq >= last_seq:
            break
        try:
            messages = await reader.fetch(FETCH_MESSAGES, timeout=FETCH_TIMEOUT_S)
        except (nats.errors.Error, TimeoutError):
            continue
        for message in messages:
            found += len(_decoder.decode(message.data).results)
        seen_seq = messages[-1].metadata.sequence.stream
        moved_at_s = time.monotonic()
    return found
