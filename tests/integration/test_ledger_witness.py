"""A ledger and its witness, each over its own directory: cosignatures with the checkpoint, and alarms."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2
import pytest

from deploy.broker import EmbeddedBroker
from deploy.ports import free_port
from services.ledger.checkpoint import Checkpoint, origin_of, sign_checkpoint
from services.ledger.log_key import ensure_log_key, ensure_witness_key, log_key_file, read_log_key
from services.ledger.note import VerifierKey, open_note
from services.ledger.store import LedgerStore
from services.ledger.witness.ask import fetch
from services.ledger.witness.request import encode_request
from tests.conftest import MARKET, Connect
from tests.journal_writer import JournalWriter
from tests.log_setting import Log, until

NAME: Final = "witness.example.com/w1"


class WitnessProcess:
    """`groupbuy ledger witness` over a directory of its own."""

    def __init__(self, state: Path, log: VerifierKey) -> None:
        self.state = state
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.key = ensure_witness_key(state / "witness.key", NAME).verifier

    def command(self, *more: str) -> list[str]:
        return [
            *(sys.executable, "-m", "deploy.cli.main", "ledger", "witness"),
            *("--log", self.log.text(), "--name", NAME, "--state", str(self.state), *more),
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        process = subprocess.Popen(self.command("--port", str(self.port)), stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"witness {self.key.text()}\n"
            assert process.stdout.readline() == f"listening on {self.url}\n"
            yield
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0

    def check(self, *more: str) -> tuple[int, dict[str, object]]:
        found = subprocess.run(
            self.command("--check", "--json", *more), check=False, capture_output=True, text=True, timeout=60
        )
        return found.returncode, json.loads(found.stdout)


@pytest.fixture
async def log(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Log:
    matcher = await connect(fresh_broker, "matcher")
    return Log(fresh_broker, JournalWriter(matcher.client), tmp_path / "data")


@pytest.fixture
def witness(log: Log, tmp_path: Path) -> WitnessProcess:
    return WitnessProcess(tmp_path / "witness", _key_of(log))


def _key_of(log: Log) -> VerifierKey:
    return ensure_log_key(log_key_file(log.data, MARKET), origin_of(log.log_host, MARKET)).verifier


async def cosigned(log: Log, key: VerifierKey) -> bytes:
    """Wait until the served checkpoint carries the witness's cosignature."""

    async def found() -> bytes | None:
        status, body = await log.get(f"/ledger/{MARKET}/checkpoint")
        return body if status == 200 and key.name.encode() in body else None

    return await until(found, "a cosigned checkpoint")


async def test_the_ledger_keeps_and_serves_the_cosignatures_with_its_checkpoint(
    log: Log, witness: WitnessProcess
) -> None:
    log.witnesses = {witness.url: witness.key.text()}
    with witness.running():
        async with log.running():
            await log.write(3)
            await log.checkpoint(150)
            note = await cosigned(log, witness.key)
            assert len(open_note(note, [log.key, witness.key]).signatures) == 2
            metrics = fetch(f"{witness.url}/metrics").decode()
            assert 'groupbuy_witness_alarm{origin="' in metrics and "groupbuy_witness_cosigned_total" in metrics
        with LedgerStore.open("sqlite:", MARKET, data_dir=log.data, read_only=True) as store:
            assert store.cosigned() is not None
        status, report = witness.check()
        assert (status, report["sound"]) == (0, True)


async def test_a_log_that_lost_its_end_is_told_by_the_witness_and_by_verify(
    log: Log, witness: WitnessProcess, tmp_path: Path
) -> None:
    log.witnesses = {witness.url: witness.key.text()}
    with witness.running():
        async with log.running():
            await log.write(3)
            await cosigned(log, witness.key)
        shorter = sign_checkpoint(read_log_key(log_key_file(log.data, MARKET)), Checkpoint(log.key.name, 3, bytes(32)))
        answer = httpx2.post(f"{witness.url}/add-checkpoint", content=encode_request(0, [], shorter))
        assert (answer.status_code, answer.headers["content-type"]) == (409, "text/x.tlog.size")
        assert int(answer.text) > 3
    status, report = witness.check()
    assert (status, report["sound"]) == (1, False)
    assert list(witness.state.glob("*.alarm.json"))


async def test_the_witness_looks_at_a_log_itself_and_makes_the_proof_of_its_tiles(
    log: Log, witness: WitnessProcess
) -> None:
    log.witnesses = {witness.url: witness.key.text()}
    async with log.running():
        with witness.running():
            await log.write(3)
            await cosigned(log, witness.key)
        await log.write(8)
        await log.checkpoint(500)
        url = f"http://127.0.0.1:{log.port}/ledger/{MARKET}"
        status, report = await asyncio.to_thread(witness.check, "--from", url)
        assert (status, report["sound"]) == (0, True), report
