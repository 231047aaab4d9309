"""`groupbuy publish` and `groupbuy watch`: events from a file, each with its outcome, or none of them sent."""

import asyncio
import hashlib
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from events.times import format_time_ns
from tests.integration.cli_process import (
    COMMAND,
    ENVIRONMENT,
    PATIENCE_S,
    ROOT,
    Up,
    run_cli_async,
    running,
)

__all__ = ["running"]
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
EXAMPLE = ROOT / "examples" / "first-group.ndjson"
INVITATIONS = ROOT / "examples" / "first-invitation.ndjson"


def _event(verb: str, **data: Any) -> str:
    return json.dumps({"type": f"groupbuy.{verb}.v1", "data": data})


def _post(name: str, **fields: Any) -> str:
    return _event("order.posted", order=f"o-{name}", member=f"m-{name}", offer="sample-tea", **fields)


async def test_the_example_goes_from_configuration_to_refund(running: Up) -> None:
    finished = await run_cli_async("publish", EXAMPLE, "--data", running.data, "--json")
    assert finished.status == 0
    documents = finished.documents
    # On a machine so busy that the client asked twice, the second answer names the first outcome.
    assert [document.get("original", document["kind"]) for document in documents] == [
        "market.set",
        "offer.listed",
        "seat.confirmed",
        "seat.held",
        "seat.confirmed",
        "seat.confirmed",
        "seat.released",
        "refund.closed",
    ]
    assert [document["line"] for document in documents] == list(range(1, 9))
    async with _watching(running.data, "--all", "--json") as read_line:
        filled = json.loads(await read_line("first-pay-bob"))
        released = json.loads(await read_line('"cause": "withdrawn"'))
    assert [also["kind"] for also in filled["also"]] == ["group.filled"]
    assert [also["kind"] for also in released["also"]] == ["refund.due", "group.dissolved"]


async def test_the_example_of_invitations_shows_consent_pause_block_and_own_limit(running: Up) -> None:
    finished = await run_cli_async("publish", INVITATIONS, "--data", running.data, "--json")
    assert finished.status == 0
    decided = [(d.get("original", d["kind"]), d.get("reason")) for d in finished.documents]
    assert decided == [
        ("market.set", None),
        ("member.chose", None),
        ("member.chose", None),
        ("member.chose", None),
        ("invitation.allowed", None),
        ("invitation.refused", "no_consent"),
        ("invitation.refused", "too_soon"),
        ("member.chose", None),
        ("invitation.refused", "blocked"),
        ("member.chose", None),
        ("offer.listed", None),
        ("member.chose", None),
        ("seat.held", None),
        ("refused", "self_limit_groups"),
    ]
    assert all("choices" not in document for document in finished.documents), "what a member told others is not told"
    async with _watching(running.data, "--all", "--json") as read_line:
        allowed = json.loads(await read_line('"kind": "invitation.allowed"'))
    checked = await run_cli_async("member", "check-link", allowed["link"], "--data", running.data, "--json")
    assert (checked.status, checked.documents[0]["invitation"]) == (0, "first-invitation")
    forged = await run_cli_async("member", "check-link", allowed["link"][:-1] + "*", "--data", running.data)
    assert (forged.status, "not the form of a link" in forged.err) == (1, True)


async def test_each_outcome_is_a_readable_line(running: Up) -> None:
    finished = await run_cli_async("publish", "-", "--data", running.data, stdin=_post("readable"))
    assert finished.status == 0
    assert "line 1: order.posted\n   -> seat.held: offer sample-tea order o-readable member m-readable" in finished.out
    assert "9.90 CNY to pay until" in finished.out
    assert "\n      and group.opened" in finished.out


async def test_a_refusal_is_an_outcome_with_its_reason(running: Up) -> None:
    event = _event("order.withdrawn", order="o-nobody")
    finished = await run_cli_async("publish", "-", "--data", running.data, stdin=event)
    assert finished.status == 0
    assert "refused: order_unknown - No order with this id is known." in finished.out


async def test_the_same_events_again_are_answered_as_duplicates(running: Up) -> None:
    event = json.dumps({**json.loads(_post("again")), "id": "again", "time": _now()})
    first = await run_cli_async("publish", "-", "--data", running.data, "--json", stdin=event)
    second = await run_cli_async("publish", "-", "--data", running.data, "--json", stdin=event)
    assert first.documents[0]["kind"] == "seat.held"
    assert (second.documents[0]["kind"], second.documents[0]["of"]) == ("duplicate", first.documents[0]["entry"])


async def test_nothing_is_sent_when_a_line_is_wrong(running: Up) -> None:
    lines = "\n".join([_post("half-1"), _post("half-2").replace("member", "membr"), _post("half-3")])
    finished = await run_cli_async("publish", "-", "--data", running.data, stdin=lines)
    assert finished.status == 2
    assert finished.out == ""
    assert "standard input: line 2" in finished.err
    assert "nothing was sent" in finished.err
    # Had the first line been sent, its order would be known now.
    paid = _event("order.withdrawn", order="o-half-1")
    asked = await run_cli_async("publish", "-", "--data", running.data, "--json", stdin=paid)
    assert asked.documents[0]["reason"] == "order_unknown"


async def test_without_waiting_each_event_is_told_its_place_in_the_intake(running: Up) -> None:
    lines = "\n".join([_post("quick-1"), _post("quick-2"), _event("member.blocked", member="a", other="b")])
    finished = await run_cli_async("publish", "-", "--data", running.data, "--no-wait", "--json", stdin=lines)
    assert finished.status == 0
    first, second, third = (document["position"].split(".") for document in finished.documents)
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("0", "1")
    assert int(third[0]) == int(first[0]) + 1


async def test_many_events_are_sent_in_as_many_batches_as_it_takes(running: Up) -> None:
    lines = "\n".join(_post(f"many-{number}") for number in range(2_300))
    finished = await run_cli_async("publish", "-", "--data", running.data, "--json", stdin=lines)
    assert finished.status == 0
    documents = finished.documents
    assert [document["order"] for document in documents] == [f"o-many-{number}" for number in range(2_300)]
    assert len({document["entry"] for document in documents}) == 2_300


async def test_watch_shows_what_is_decided_meanwhile(running: Up) -> None:
    async with _watching(running.data) as read_line:
        await run_cli_async("publish", "-", "--data", running.data, stdin=_post("watched"))
        line = await read_line("o-watched")
    assert "local order.posted -> seat.held: offer sample-tea order o-watched member m-watched" in line


async def test_watch_from_the_beginning_shows_the_configuration_first(running: Up) -> None:
    async with _watching(running.data, "--all", "--json") as read_line:
        document = json.loads(await read_line("market.set"))
    assert (document["publisher"], document["kind"], document["entry"]) == ("operator", "market.set", "1.0.0")


@pytest.mark.parametrize("command", [["publish", str(EXAMPLE)], ["watch"]])
async def test_without_a_stack_it_is_said_how_to_start_one(tmp_path: Path, command: list[str]) -> None:
    finished = await run_cli_async(*command, "--data", tmp_path / "none")
    assert finished.status == 2
    assert f"no stack runs over {tmp_path / 'none'}: start one with `groupbuy up --data" in finished.err
    assert not (tmp_path / "none").exists()


async def test_another_market_than_the_stacks_is_refused(running: Up) -> None:
    finished = await run_cli_async("publish", EXAMPLE, "--data", running.data, "--market", "other")
    assert finished.status == 2
    assert "runs the market main, not other" in finished.err


async def test_a_missing_file_is_named(running: Up) -> None:
    finished = await run_cli_async("publish", "nowhere.ndjson", "--data", running.data)
    assert finished.status == 2
    assert "nowhere.ndjson: cannot be read: No such file or directory" in finished.err


async def test_random_bytes_are_refused_with_their_line(running: Up) -> None:
    for seed in range(3):
        body = b"".join(hashlib.sha512(bytes([seed, block])).digest() for block in range(40))
        finished = await run_cli_async("publish", "-", "--data", running.data, stdin=body)
        assert finished.status == 2
        assert "standard input: line 1" in finished.err


@asynccontextmanager
async def _watching(data: Path, *options: str) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "watch",
        "--data",
        str(data),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = process.stdout, process.stderr

    async def read_line(word: str) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while word not in (line := (await stdout.readline()).decode()):
                assert line, (await stderr.read()).decode()
        return line

    try:
        if "--json" not in options:
            async with asyncio.timeout(PATIENCE_S):
                await stderr.readline()
        yield read_line
    finally:
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0
    assert b"Traceback" not in err


def _now() -> str:

    return format_time_ns(time.time_ns())
