"""`python -m tests.bench.sender JSON`: publishes orders, each at its own moment, and does nothing else.

Open loop: an event is sent at its moment whether or not those before have been answered. It has a process of its own so
that sleeping to the moment is exact and answers are not kept waiting for it.
"""

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from deploy.reach import close_quietly, connect_as
from tests.bench import traffic


class Sending(msgspec.Struct, kw_only=True):
    """What to send: order `place` of a run at the first moment + `place` / `per_s`, answered on `reply`.`place`."""

    data: str
    url: str
    subject: str
    reply: str
    prefix: str
    per_s: float
    count: int


async def send(sending: Sending) -> None:
    """Connect, send, and print the first moment (s of the monotonic clock) and by how many s each was late."""
    client = await connect_as(Path(sending.data), sending.url, traffic.PUBLISHER)
    events = traffic.orders(sending.count, prefix=sending.prefix)
    begun_s = time.perf_counter() + 0.2
    late_s = []
    for place, body in enumerate(events):
        # Blocking, on purpose: the loop's own timers are a millisecond coarse, and nothing else runs here.
        if (wait_s := begun_s + place / sending.per_s - time.perf_counter()) > 0:
            time.sleep(wait_s)  # noqa: ASYNC251
        late_s.append(round(time.perf_counter() - begun_s - place / sending.per_s, 6))
        await client.publish(sending.subject, body, reply=f"{sending.reply}.{place}")
        # Lets the client write what it holds.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await client.flush()
    await close_quietly(client)
    sys.stdout.buffer.write(msgspec.json.encode((begun_s, late_s)))


if __name__ == "__main__":
    asyncio.run(send(msgspec.json.decode(sys.argv[1], type=Sending)))
