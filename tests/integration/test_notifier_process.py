"""The notifier as a process: killed, asked how it is, and ended."""

import asyncio
import json
import random
import signal
import sys
import urllib.error
import urllib.request
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.broker import EmbeddedBroker
from deploy.ports import free_port
from tests.conftest import Connect
from tests.journal_writer import JournalWriter
from tests.notifier_journal import confirmed, crowd
from tests.notifier_setting import RESULTS, WAIT_S, Setting

ROOT = Path(__file__).resolve().parents[2]
RECORDS, RESULTS_PER_RECORD, KILLS = 40, 300, 4


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


@asynccontextmanager
async def process(setting: Setting, health_port: int = 0, **changes: Any) -> AsyncIterator[Process]:
    """Run `python -m services.notifier` and kill it if it still runs in the end."""
    config = msgspec.structs.replace(setting.config(), health_port=health_port, **changes)
    path = setting.data / "notifier.json"
    path.write_bytes(msgspec.json.encode(config, enc_hook=str))
    arguments = (sys.executable, "-m", "services.notifier", str(path))
    running = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def stored_more_than(setting: Setting, count: int) -> int:
    """Wait until the results stream holds more than `count` messages and return how many."""
    async with setting.operator() as js:
        for _ in range(int(WAIT_S / 0.005)):
            stored = (await js.stream_info(RESULTS)).state.messages
            if stored > count:
                return stored
            await asyncio.sleep(0.005)
    pytest.fail(f"no more than {count} messages within {WAIT_S} s")


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def asked(port: int, path: str, status: int) -> str:
    """Wait until the health server answers with a status and return what it says."""
    for _ in range(int(WAIT_S / 0.05)):
        found, text = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}{path}")
        if found == status:
            return text
        await asyncio.sleep(0.05)
    pytest.fail(f"{path} did not answer {status} within {WAIT_S} s")


@pytest.mark.slow
async def test_a_notifier_that_is_killed_again_and_again_tells_everything_once(setting: Setting) -> None:
    chance = random.Random(1)
    for seq in range(1, RECORDS + 1):
        await setting.write(*crowd(seq, RESULTS_PER_RECORD))
    stored = 0
    for _ in range(KILLS):
        async with process(setting) as running:
            stored = await stored_more_than(setting, stored + chance.randrange(1_500))
            running.kill()
            await running.wait()
        if stored > (RECORDS - 6) * RESULTS_PER_RECORD:
            break
    await setting.tell_everything()
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_a_process_tells_how_it_is_and_ends_cleanly_when_asked(setting: Setting) -> None:
    port = free_port()
    await setting.write(confirmed(1))
    async with process(setting, port) as running:
        await stored_more_than(setting, 0)
        health = json.loads(await asked(port, "/healthz", 200))
        assert health["checks"]["notifier"]["status"] == "ok"
        metrics = await asked(port, "/metrics", 200)
        assert 'groupbuy_notifier_told_total{channel="groupbuy-main-results"} 1.0' in metrics
        assert 'groupbuy_notifier_record{channel="groupbuy-main-outcomes"} 1.0' in metrics
        assert "groupbuy_notifier_lag_messages 0.0" in metrics
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), WAIT_S) == 0


async def test_a_broken_chain_is_an_alarm_that_anybody_can_read(setting: Setting) -> None:
    port = free_port()
    await setting.write(confirmed(1))
    setting.writer.prev = "f" * 64
    await setting.writer.append([confirmed(2)])
    async with process(setting, port) as running:
        await stored_more_than(setting, 0)
        health = json.loads(await asked(port, "/healthz", 503))
        assert "broken before message 2" in health["checks"]["notifier"]["sentence"]
        assert "groupbuy_notifier_alarm 1.0" in await asked(port, "/metrics", 200)
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), WAIT_S) == 0
        assert running.stderr is not None
        assert b"Traceback" not in await running.stderr.read()


async def test_a_notifier_without_a_usable_key_ends_with_one_sentence(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "none.nk").write_text("nothing")
    async with process(setting, nkey_seed_file=tmp_path / "none.nk") as running:
        _, errors = await asyncio.wait_for(running.communicate(), WAIT_S)
        assert running.returncode == 2
        assert b"does not hold the seed" in errors
        assert b"Traceback" not in errors
