"""More than the market can take: publishers are told, nothing is dropped, and nobody slows the matcher."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.permissions import LEDGER, MATCHER, NOTIFIER, PROVISIONER
from deploy.provision import StreamLimits
from deploy.stack import Stack, StackPlan
from events import subjects
from tests.bench import traffic
from tests.bench.driving import MARKET, configure, journal_state, wait_decided, wait_level
from tests.bench.loads import BATCHES_OF_100

INTAKE_MAX_BYTES = 1024 * 1024
FULL = 10_077
PATIENCE_S = 30.0

pytestmark = pytest.mark.slow


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    plan = StackPlan(data=tmp_path, limits=StreamLimits(intake_max_bytes=INTAKE_MAX_BYTES))
    stack = Stack(plan, lambda _: None)
    await stack.start()
    yield stack
    await stack.stop()


def send(stack: Stack, name: str, number: int) -> None:
    pid = next(child.pid for child in stack.supervisor.children if child.name == name)
    assert pid is not None
    os.kill(pid, number)


async def test_a_full_intake_refuses_what_is_new_and_keeps_all_that_it_took(stack: Stack) -> None:
    await configure(stack, BATCHES_OF_100)
    intake = subjects.intake_stream(MARKET)
    subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
    send(stack, MATCHER, signal.SIGSTOP)
    async with stack.connected(traffic.PUBLISHER) as publisher, stack.connected(PROVISIONER) as looking:
        refused = ""
        for message in traffic.batches(traffic.orders(10_000), BATCHES_OF_100.batch):
            answer = await publisher.request(subject, message, timeout=10)
            if b'"error"' in answer.data:
                refused = answer.data.decode()
                break
        assert f'"err_code":{FULL}' in refused and "maximum bytes exceeded" in refused
        (late,) = traffic.batches(traffic.orders(100, prefix="late"), 100)
        asked = await publisher.request(subjects.submit(MARKET, traffic.PUBLISHER, "order"), late, timeout=10)
        assert b'"busy"' in asked.data and b"intake is full" in asked.data and b'"retry_after_s"' in asked.data
        state = (await looking.jetstream().stream_info(intake)).state
        assert state.first_seq == 1 and state.bytes <= INTAKE_MAX_BYTES
        send(stack, MATCHER, signal.SIGCONT)
        await wait_decided(looking)
        # What was taken is decided, archived and trimmed, and so there is room again.
        await _taken_again(publisher, subject)
        await wait_decided(looking)


async def _taken_again(publisher: object, subject: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    (message,) = traffic.batches(traffic.orders(100, prefix="again"), 100)
    while time.monotonic() < until_s:
        answer = await publisher.request(subject, message, timeout=10)  # type: ignore[attr-defined]
        if b'"error"' not in answer.data:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("the intake stays full")


async def test_a_ledger_and_a_notifier_that_stand_still_do_not_hold_up_the_matcher(stack: Stack) -> None:
    await configure(stack, BATCHES_OF_100)
    subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
    for name in (LEDGER, NOTIFIER):
        send(stack, name, signal.SIGSTOP)
    async with stack.connected(traffic.PUBLISHER) as publisher, stack.connected(PROVISIONER) as looking:
        before = (await journal_state(looking)).last_seq
        for message in traffic.batches(traffic.orders(1_000), 50):
            await publisher.jetstream().publish(subject, message, timeout=10)
        await wait_decided(looking)
        assert (await journal_state(looking)).last_seq > before
    for name in (LEDGER, NOTIFIER):
        send(stack, name, signal.SIGCONT)
    await wait_level(stack)
