"""Personal data is tried in every field of every event, and looked for in every file and stream afterwards."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
from nats.aio.client import Client

from deploy.cli.archive import archive, wait_until_archived
from deploy.first_run import first_configuration, sample_offer, set_up_market
from deploy.permissions import OPERATOR, OPERATOR_FAMILIES, PROVISIONER
from deploy.stack import Stack, StackPlan
from deploy.stack_files import free_service_port
from events import subjects
from events.times import format_time_ns
from services.ledger.vault.vault import Vault, vault_file, vault_key_file
from services.ledger.vault.vault_key import ensure_vault_key
from tests.contract.example_events import FULL

pytestmark = pytest.mark.slow
WAIT_S: Final = 90.0
# Order and payment numbers of 11 or 18 digits are legal: where an id belongs these are no ids, elsewhere persons.
PERSONS: Final = ("+86 138-1234-5678", "li.lei@example.com", "ID 110101199003072316")
NEEDLES: Final = (b"138-1234-5678", b"li.lei@example", b"110101199003072316", b"Nanjing Road 77")


@pytest_asyncio.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    nats_port = free_service_port()
    plan = StackPlan(data=tmp_path / "data", nats_port=nats_port, http_port=free_service_port([nats_port]))
    async with Stack(plan, print) as running:
        now = format_time_ns(time.time_ns())
        await set_up_market(running, now, first_configuration(["local"]), [sample_offer()])
        yield running


def spoiled(value: Any, person: str) -> Iterator[Any]:
    """Yield a JSON value with `person` in place of each text in it, one at a time, and with a field more."""
    if isinstance(value, str):
        yield person
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in ("type", "specversion", "id"):
                continue
            yield from ({**value, name: other} for other in spoiled(inner, person))
        yield {**value, "note": f"call {person}"}
    elif isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in spoiled(value[0], person))


async def test_no_personal_data_that_is_sent_can_be_found_in_a_file_or_stream_afterwards(stack: Stack) -> None:
    sent = 0
    async with stack.connected(OPERATOR) as operator, stack.connected("local") as local:
        for number, example in enumerate(FULL):
            document = json.loads(msgspec.json.encode(example))
            family = document["type"].split(".")[1]
            if family == "clock":
                continue
            client, publisher = (operator, OPERATOR) if family in OPERATOR_FAMILIES else (local, "local")
            subject = subjects.intake(stack.market, publisher, family)
            now = format_time_ns(time.time_ns())
            for variant, person in enumerate(PERSONS):
                bodies = [
                    msgspec.json.encode({**changed, "id": f"e-{number}-{variant}-{at}"})
                    for at, changed in enumerate(spoiled({**document, "time": now}, person))
                ]
                await asyncio.gather(*(client.jetstream().publish(subject, body) for body in bodies))
                sent += len(bodies)
        await local.jetstream().publish(subjects.intake(stack.market, "local", "order"), b"not JSON: Nanjing Road 77")
        # The broker overwrites what was taken out of a block of its files once 2 MiB and half of the block are gone.
        filler = json.dumps({"filler": "x" * 30_000}).encode()
        for _ in range(120):
            await local.jetstream().publish(subjects.intake(stack.market, "local", "order"), filler)
        # What is kept last in the intake is harmless: the matcher compares it when it starts.
        harmless = {"type": "groupbuy.order.withdrawn.v1", "specversion": "1.0", "id": "e-last", "source": "/test"}
        harmless |= {"time": format_time_ns(time.time_ns()), "data": {"order": "o-none"}}
        last = subjects.intake(stack.market, "local", "order")
        await local.jetstream().publish(last, json.dumps(harmless).encode())
    assert sent > 300
    with Vault(
        vault_file(stack.data, stack.market), ensure_vault_key(vault_key_file(stack.data, stack.market))
    ) as vault:
        vault.put("m-1", b"li.lei@example.com, Nanjing Road 77", time.time_ns())
    await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
    _check_that_every_input_was_answered(stack, sent)
    async with stack.connected(PROVISIONER) as client:
        await _until_trimmed(stack, client)
        for name in (
            subjects.intake_stream(stack.market),
            subjects.journal_stream(stack.market),
            subjects.outcomes_stream(stack.market),
            subjects.results_stream(stack.market),
            subjects.notices_stream(stack.market),
        ):
            await _check_stream(client, name)
    await stack.stop()
    _check_files(stack.data)


def _check_that_every_input_was_answered(stack: Stack, sent: int) -> None:
    with archive(stack.data, stack.market) as store:
        assert store.entries_archived() > sent


async def _until_trimmed(stack: Stack, client: Client) -> None:
    """Wait until the intake holds the last message alone: trimming looks every few seconds."""
    until = time.monotonic() + WAIT_S
    while True:
        info = await client.jetstream().stream_info(subjects.intake_stream(stack.market))
        if info.state.messages == 1:
            return
        assert time.monotonic() < until, f"the intake still holds {info.state.messages} messages"
        await asyncio.sleep(0.5)


async def _check_stream(client: Client, name: str) -> None:
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(name)).state
    for seq in range(state.first_seq, state.last_seq + 1) if state.messages else ():
        body = (await jetstream.get_msg(name, seq)).data or b""
        assert not [needle for needle in NEEDLES if needle in body], (name, seq, body[:300])


def _check_files(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            assert not [needle for needle in NEEDLES if needle in content], path
