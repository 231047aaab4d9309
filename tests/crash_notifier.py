"""kill -9 of a notifier under load, again and again: is every result told, and what is told twice?

    python -m tests.crash_notifier [KILLS] [RECORDS]     prints one line of JSON

A real broker, a journal that is written meanwhile, a real endpoint and a real mail server; the notifier is a process.
"""

import asyncio
import json
import random
import signal
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
import nats
from nats.js import api

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import MATCHER, NOTIFIER, PROVISIONER
from deploy.provision import provision
from events import subjects
from events.notice import HEADER_FACT, decode_fact, is_told
from services.bus.config import ServiceConfig
from services.notifier.addresses import AddressBook, address_file
from tests.dispatch_setting import refund
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import SHOP
from tests.notifier_peers import SECRET, MailPeer, WebhookPeer

ROOT: Final = Path(__file__).resolve().parents[1]
MEMBERS: Final = 20
REFUNDS_PER_RECORD: Final = 10
LIFE_MAX_S: Final = 6.0
POLL_S: Final = 0.002
WRITING_S_PER_KILL: Final = 1.0
DONE_TIMEOUT_S: Final = 300.0


async def crash_again_and_again(folder: Path, kills: int, records: int, seed: int = 1) -> dict[str, Any]:
    """Kill a notifier `kills` times while records are written, then let it finish; return what was counted."""
    chance = random.Random(seed)
    async with AsyncExitStack() as parts:
        broker = await parts.enter_async_context(EmbeddedBroker(folder, [MARKET], publishers=[SHOP]))
        hook = await parts.enter_async_context(WebhookPeer(delay_s=0.02).up())
        mail = await parts.enter_async_context(MailPeer().up())
        operator = await nats.connect(broker.url, **broker.connect_options(PROVISIONER))
        parts.push_async_callback(operator.close)
        await provision(operator, MARKET, [SHOP])
        matcher = await nats.connect(broker.url, **broker.connect_options(MATCHER))
        parts.push_async_callback(matcher.close)
        config = _configure(folder, broker.url, hook, mail)
        writing = asyncio.create_task(_write(JournalWriter(matcher), records, kills))
        for done in range(kills):
            # In the middle of its work: after so many more webhooks, and a moment in which anything may happen.
            await _live_and_die(config, hook, chance.randrange(2 * records * REFUNDS_PER_RECORD // kills), chance)
            print(f"kill {done + 1} of {kills}: {len(hook.posted)} webhooks", file=sys.stderr)
        await writing
        expected = records * REFUNDS_PER_RECORD
        async with _Process(config):
            facts = await _facts_when_done(operator, 2 * expected)
        return _counted(kills, expected, hook, mail, facts)


def _configure(folder: Path, nats_url: str, hook: WebhookPeer, mail: MailPeer) -> Path:
    book = AddressBook(address_file(folder, MARKET))
    for at in range(MEMBERS):
        book.set(f"m-{at}", "email", f"m-{at}@example.com")
    book.close()
    (folder / "hook.secret").write_text(SECRET)
    (folder / "notifier.toml").write_text(
        f"""
[market]
since = "1970-01-01T00:00:00Z"
digest_window_s = 0
useful_for_s = {{ result = 31536000 }}
[email]
host = "127.0.0.1"
port = {mail.port}
sender = "shop@example.com"
tls = "none"
[[webhooks]]
name = "shop"
url = "{hook.url}"
secret_files = ["hook.secret"]
allow_private = true
concurrency = 16
"""
    )
    config = ServiceConfig(
        service="notifier",
        market=MARKET,
        nats_url=nats_url,
        user=NOTIFIER,
        nkey_seed_file=load_identity(folder, NOTIFIER).seed_file,
        data_dir=folder,
    )
    path = folder / "notifier.json"
    path.write_bytes(msgspec.json.encode(config, enc_hook=str))
    return path


async def _write(writer: JournalWriter, records: int, kills: int) -> None:
    pause_s = kills * WRITING_S_PER_KILL / records
    for first in range(0, records * REFUNDS_PER_RECORD, REFUNDS_PER_RECORD):
        await writer.append([refund(1 + first + at, f"m-{(first + at) % MEMBERS}") for at in range(REFUNDS_PER_RECORD)])
        await asyncio.sleep(pause_s)


class _Process:
    """The notifier, killed in the end."""

    def __init__(self, config: Path) -> None:
        self._config = config

    async def __aenter__(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notifier", str(self._config), cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
        )
        return self._process

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


async def _live_and_die(config: Path, hook: WebhookPeer, more: int, chance: random.Random) -> None:
    until, life_s = len(hook.posted) + more, 0.0
    async with _Process(config):
        while len(hook.posted) < until and life_s < LIFE_MAX_S:
            await asyncio.sleep(POLL_S)
            life_s += POLL_S
        await asyncio.sleep(chance.uniform(0.0, 0.1))


async def _facts_when_done(operator: Any, expected: int) -> list[tuple[str, bytes]]:
    """Wait until as many notices have ended, and return every fact with its number."""
    js, stream = operator.jetstream(timeout=10), subjects.notices_stream(MARKET)
    async with asyncio.timeout(DONE_TIMEOUT_S):
        while True:
            facts: list[tuple[str, bytes]] = []
            state = (await js.stream_info(stream)).state
            config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE)
            reader = await js.pull_subscribe(subjects.notices(MARKET), stream=stream, config=config)
            while len(facts) < state.messages:
                found = await reader.fetch(500, timeout=10)
                facts += [((message.headers or {}).get(HEADER_FACT, ""), message.data) for message in found]
            await reader.unsubscribe()
            read = [decode_fact(body) for _, body in facts if not is_told(body)]
            ended = {fact.data.notice for fact in read if "deferred" not in fact.type}
            if len(ended) >= expected:
                return facts
            await asyncio.sleep(1.0)


def _counted(
    kills: int, expected: int, hook: WebhookPeer, mail: MailPeer, facts: list[tuple[str, bytes]]
) -> dict[str, Any]:
    # Those about many are counted where they are made.
    read = [decode_fact(body) for _, body in facts if not is_told(body)]
    hooks = Counter(posted.headers["webhook-id"] for posted in hook.posted)
    mails = Counter(str(each["Message-ID"]) for each in mail.mails)
    numbers = [int(number.split()[1]) for number, _ in facts]
    return {
        "kills": kills,
        "results": expected,
        "webhooks_lost": expected - len(hooks),
        "webhooks_repeated_with_the_same_id": sum(hooks.values()) - len(hooks),
        "mails_lost": expected - len(mails),
        "mails_repeated": sum(mails.values()) - len(mails),
        "facts": len(read),
        "facts_repeated": len(read) - len({fact.id for fact in read}),
        "facts_missing": (max(numbers) - len(set(numbers))) if numbers else 0,
        "dead": sum(1 for fact in read if "failed" in fact.type),
    }


def main(arguments: list[str]) -> None:
    """Run it and print what was counted."""
    kills = int(arguments[0]) if arguments else 100
    records = int(arguments[1]) if len(arguments) > 1 else 500
    with tempfile.TemporaryDirectory(prefix="crash-notifier-") as folder:
        print(json.dumps(asyncio.run(crash_again_and_again(Path(folder), kills, records))))


if __name__ == "__main__":
    main(sys.argv[1:])
