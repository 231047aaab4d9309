"""Latency at a steady rate, open-loop: from the planned moment of each event to its answer.

A pause counts for everything that it delays, so that nothing is omitted by coordination.
"""

import asyncio
import statistics
import sys
import time
from typing import Final, Literal

import msgspec
from nats.aio.msg import Msg

from deploy.stack import Stack
from events import subjects
from tests.bench import traffic
from tests.bench.driving import PATIENCE_S
from tests.bench.sender import Sending

Way = Literal["gateway", "published", "acknowledged"]
Times = list[float]
"""In ms, one for each event that was answered."""
WINDOW: Final = 1_000
POLL_S: Final = 0.02
_SHOWN: Final = {"p50": 499, "p90": 899, "p99": 989, "p99.9": 998}


class _Heard:
    """When the answers to the events of one run arrived, by their places in the run."""

    def __init__(self, count: int, prefix: str) -> None:
        self.at_s = [0.0] * count
        self.missing = count
        self._mark = f'"id":"0193f5e2-7c1a-7cc0-{prefix}-'.encode()

    async def answer(self, msg: Msg) -> None:
        """Note the answer to one event: the broker's acknowledgement, or the gateway's."""
        self._note(int(msg.subject.rpartition(".")[2]), time.perf_counter())

    async def outcomes(self, msg: Msg) -> None:
        """Note the outcomes in a message."""
        now_s = time.perf_counter()
        for rest in msg.data.split(self._mark)[1:]:
            self._note(int(rest[:12]), now_s)

    def _note(self, place: int, now_s: float) -> None:
        if not self.at_s[place]:
            self.at_s[place] = now_s
            self.missing -= 1

    async def complete(self, within_s: float) -> None:
        """Wait for the answers. Raises TimeoutError when some do not come."""
        until_s = time.monotonic() + within_s
        while self.missing:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{self.missing} of {len(self.at_s)} answers never came")
            await asyncio.sleep(POLL_S)

    def times_ms(self, begun_s: float, per_s: float) -> Times:
        """Return the time of each answer after the planned moment of its event."""
        return [(at_s - begun_s - place / per_s) * 1_000 for place, at_s in enumerate(self.at_s)]


async def open_loop_ms(stack: Stack, way: Way, per_s: float, for_s: float, prefix: str) -> dict[str, Times]:
    """Return the times to the `answer`, and of what is published also to the broker's `ack`.

    By how much the sender was `late` is part of both, and shown on its own. By the way `acknowledged` there is nobody
    to decide anything, and the broker's `ack` is all that comes.
    """
    count = int(per_s * for_s)
    direct, later = _Heard(count, prefix), _Heard(count, prefix)
    async with stack.connected(traffic.PUBLISHER) as client:
        inbox = client.new_inbox()
        await client.subscribe(f"{inbox}.*", cb=direct.answer)
        if way == "published":
            await client.subscribe(subjects.outcome(stack.market, traffic.PUBLISHER), cb=later.outcomes)
        await client.flush()
        subject = subjects.submit if way == "gateway" else subjects.intake
        begun_s, late_s = await _send(
            Sending(
                data=str(stack.data),
                url=stack.address.nats_url,
                subject=subject(stack.market, traffic.PUBLISHER, "order"),
                reply=inbox,
                prefix=prefix,
                per_s=per_s,
                count=count,
            )
        )
        await direct.complete(PATIENCE_S)
        if way == "published":
            await later.complete(PATIENCE_S)
    times_ms = direct.times_ms(begun_s, per_s)
    late_ms = [late * 1_000 for late in late_s]
    if way == "published":
        return {"answer": later.times_ms(begun_s, per_s), "ack": times_ms, "late": late_ms}
    return {"answer" if way == "gateway" else "ack": times_ms, "late": late_ms}


async def _send(sending: Sending) -> tuple[float, list[float]]:
    """Have everything sent by a process of its own; return the first planned moment, and by how much each was late."""
    text = msgspec.json.encode(sending).decode()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.sender", text), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"the sender ended with status {process.returncode}")
    return msgspec.json.decode(said, type=tuple[float, list[float]])


async def published_per_s(stack: Stack, count: int, prefix: str) -> float:
    """Return single events a second, published in a window of many, from the first to the last outcome's arrival."""
    heard = _Heard(count, prefix)
    events = traffic.orders(count, prefix=prefix)
    subject = subjects.intake(stack.market, traffic.PUBLISHER, "order")
    async with stack.connected(traffic.PUBLISHER) as client:
        await client.subscribe(subjects.outcome(stack.market, traffic.PUBLISHER), cb=heard.outcomes)
        await client.flush()
        jetstream = client.jetstream(publish_async_max_pending=WINDOW)
        begun_s = time.perf_counter()
        for body in events:
            await jetstream.publish_async(subject, body, wait_stall=PATIENCE_S)
        await heard.complete(PATIENCE_S)
    return count / (max(heard.at_s) - begun_s)


def percentiles(found_ms: Times) -> dict[str, float]:
    """Return the percentiles that reports show, in ms."""
    cuts = statistics.quantiles(found_ms, n=1_000, method="inclusive")
    return {name: round(cuts[at], 2) for name, at in _SHOWN.items()} | {"max": round(max(found_ms), 2)}
