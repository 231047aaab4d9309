"""The broker loses what it had acknowledged: the system says what is missing, and the ledger brings back what it has.

A market runs, and every process of it is killed. Then, over a copy for each, files of the broker are damaged. Either no
harm was done, and the market goes on; or somebody says what is missing and nothing is decided. Then `ledger restore`
brings back all that was archived, publishers send again what they have, and everything is told, archived and right.
"""

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec
import nats.errors

from deploy.permissions import PROVISIONER
from deploy.reach import http_get
from deploy.stack import Stack, StackPlan
from events import subjects
from events.record import decode_entry, decode_record, hash_bytes
from services.bus.client import GroupBuyClient
from services.ledger.store import LedgerStore
from tests.builders import family_of
from tests.chaos.arena import MARKET, SHOPS, Arena, Setting
from tests.chaos.checks import deciding_again_leads_to_the_same, the_ledger_adds_up, the_ledger_verifies
from tests.chaos.commands import groupbuy
from tests.chaos.damage import TAILS, Damage
from tests.chaos.evidence import Evidence, Message, Violation, must, read_stream
from tests.chaos.round import until_done
from tests.chaos.shoppers import Memory, Shopper

MARKET_S: Final = 1.5
SHOPPER_PAUSE_S: Final = 0.1
NOTICED_WITHIN_S: Final = 240.0
POLL_S: Final = 0.1
BATCH_EVENTS: Final = 50
MISSING: Final = re.compile(r"(\d+) to (\d+) (?:of \S+ )?are missing")
_ALARMS: Final = ("missing", "recreated", "not the record", "not the one", "rolled back", "does not exist", "is broken")


class Lost(msgspec.Struct, kw_only=True):
    """What became of one damage."""

    damage: str
    did: str
    noticed: str
    """The sentence that says what is missing; "" where no harm was done."""
    restored: dict[str, Any] | None = None


@dataclass
class Market:
    """A market that has run and was killed: its folder, what clients remember, what was archived."""

    folder: Path
    memory: Memory
    archived: dict[int, bytes]
    last_seqs: dict[str, int]


async def lose(setting: Setting, damages: tuple[Damage, ...]) -> list[Lost]:
    """Run a market, and see what each damage leads to. Raises Violation where a promise does not hold."""
    market = await _run_market(replace(setting, mounts=False, database="sqlite"))
    chance = random.Random(setting.seed)
    found = []
    for number, damage in enumerate(damages):
        trial = _Trial(market, damage, setting.folder / f"loss-{number}", random.Random(chance.random()))
        try:
            found.append(await trial.run())
        except Violation as violation:
            raise Violation(f"{damage.name}: {violation}") from None
        shutil.rmtree(setting.folder / f"loss-{number}")
    return found


async def _run_market(setting: Setting) -> Market:
    memory, enough = Memory(), asyncio.Event()
    async with Arena(setting) as arena:
        async with asyncio.TaskGroup() as tasks:
            for number in range(setting.shoppers):
                tasks.create_task(Shopper(arena, memory, number, SHOPPER_PAUSE_S).run(enough))
            await asyncio.sleep(MARKET_S)
            enough.set()
        await until_done(arena)
        last_seqs = await _last_seqs(arena.stack)
        # No snapshot, no farewell: what is known is what a kill leaves.
        for child in arena.stack.supervisor.children:
            child.wanted.clear()
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
    with LedgerStore.open("sqlite:", MARKET, data_dir=arena.data, read_only=True) as store:
        archived = {record.seq: bytes(record.body) for record in store.records()}
    return Market(arena.data, memory, archived, last_seqs)


async def _last_seqs(stack: Stack) -> dict[str, int]:
    async with stack.connected(PROVISIONER) as client:
        names = {"journal": subjects.journal_stream(MARKET), "intake": subjects.intake_stream(MARKET)}
        jetstream = client.jetstream()
        return {name: (await jetstream.stream_info(stream)).state.last_seq for name, stream in names.items()}


class _Trial:
    """One damage over a copy of the market."""

    def __init__(self, market: Market, damage: Damage, folder: Path, chance: random.Random) -> None:
        self._market = market
        self._damage = damage
        self._chance = chance
        self._data = folder / "data"
        self._log: list[str] = []

    async def run(self) -> Lost:
        """Do the damage, look, restore where somebody says that it is needed, and look again."""
        shutil.copytree(self._market.folder, self._data)
        did = self._do_damage()
        noticed = await self._start_and_look()
        restored = None
        if noticed:
            restored = await self._restore()
            must(not await self._start_and_look(), "after the restoration it is still not well")
        return Lost(damage=self._damage.name, did=did, noticed=noticed, restored=restored)

    def _do_damage(self) -> str:
        streams = self._data / "broker" / "store" / "jetstream" / "$G" / "streams"
        stream = streams / f"groupbuy-{MARKET}-{self._damage.stream}" if self._damage.stream else streams
        must(stream.is_dir(), f"the broker keeps its streams somewhere else than in {stream}")
        if self._damage.forgets:
            (stream / "msgs" / "index.db").unlink(missing_ok=True)
        return self._damage.how(stream, self._chance)

    async def _start_and_look(self) -> str:
        """Start the stack; return what it says is missing, or "" after it has gone on and all that must hold holds."""
        stack = Stack(StackPlan(data=self._data, market=MARKET, publishers=SHOPS), self._log.append)
        starting = asyncio.create_task(stack.start())
        try:
            noticed = await self._until_started_or_noticed(stack, starting)
            if not noticed:
                noticed = await self._go_on(stack)
            if noticed:
                await self._check_noticed(stack, noticed)
            return noticed
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await stack.stop()

    async def _until_started_or_noticed(self, stack: Stack, starting: "asyncio.Task[None]") -> str:
        until = time.monotonic() + NOTICED_WITHIN_S
        while time.monotonic() < until:
            if starting.done():
                error = starting.exception()
                return "" if error is None else str(error)
            if noticed := await _alarm(stack):
                return noticed
            await asyncio.sleep(POLL_S)
        raise Violation(f"neither well nor alarmed within {NOTICED_WITHIN_S:.0f} s: {self._log[-3:]}")

    async def _check_noticed(self, stack: Stack, noticed: str) -> None:
        """Nobody has invented a history meanwhile, and where an end is missing the sentence names exactly that."""
        async with stack.connected(PROVISIONER) as client:
            found: list[Message] = []
            with contextlib.suppress(nats.errors.Error):
                found = await read_stream(client, subjects.journal_stream(MARKET))
        for message in found:
            known = self._market.archived.get(message.seq)
            is_record = message.message_id == hash_bytes(message.body)
            must(known is None or not is_record or message.body == known, f"record {message.seq} is invented")
        if self._damage.name not in TAILS:
            return
        now = (await _last_seqs(stack))[self._damage.stream]
        before, said = self._market.last_seqs[self._damage.stream], {noticed}
        until = time.monotonic() + NOTICED_WITHIN_S
        # Each service names what it knows of: one of them must know of all.
        while not any(_names_exactly(sentence, now + 1, before) for sentence in said):
            must(time.monotonic() < until, f"{now + 1} to {before} are missing, and it says: {said}")
            await asyncio.sleep(POLL_S)
            said |= set(await _alarms(stack))

    async def _go_on(self, stack: Stack) -> str:
        """Send everything again; return an alarm that comes meanwhile, or "" when all is archived and right."""
        sending = asyncio.create_task(self._send_again(stack))
        until = time.monotonic() + NOTICED_WITHIN_S
        try:
            while not sending.done() or not await self._is_archived(stack):
                if noticed := await _alarm(stack):
                    return noticed
                must(time.monotonic() < until, f"not everything is archived within {NOTICED_WITHIN_S:.0f} s")
                await asyncio.sleep(POLL_S)
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await self._check(stack)
        return ""

    async def _send_again(self, stack: Stack) -> None:
        for shop in SHOPS:
            seed_file = self._data / "keys" / f"{shop}.nk"
            url = stack.address.nats_url
            async with await GroupBuyClient.connect(url, market=MARKET, publisher=shop, seed_file=seed_file) as client:
                for together in _batches(self._events_of(shop)):
                    await client.publish_batch(together)

    def _events_of(self, shop: str) -> list[dict[str, Any]]:
        memory = self._market.memory
        sent = [event for publisher, events, _ in memory.stored if publisher == shop for event in events]
        sent += [event for publisher, event, _ in memory.answered if publisher == shop]
        by_id = {(event["id"], event.get("subject")): event for event in sent}
        return [*by_id.values()]

    async def _is_archived(self, stack: Stack) -> bool:
        intake_seq = await stack.intake_last_seq()
        with self._ledger() as store:
            return store.tip is not None and store.tip.through.seq >= intake_seq

    def _ledger(self) -> LedgerStore:
        return LedgerStore.open("sqlite:", MARKET, data_dir=self._data, read_only=True)

    async def _check(self, stack: Stack) -> None:
        """Nothing archived has changed, every event that was acknowledged counts once, and the ledger is clean."""
        with self._ledger() as store:
            archived = {record.seq: bytes(record.body) for record in store.records()}
            entries = [decode_entry(raw) for record in store.records() for raw in decode_record(record.body).entries]
        kept = {seq: body for seq, body in archived.items() if seq in self._market.archived}
        must(kept == self._market.archived, "what was archived is not what it was")
        decided: Counter[tuple[str | None, str]] = Counter()
        for entry in entries:
            if entry.event is not None and entry.decisions[0].__struct_config__.tag != "duplicate":
                decided[entry.publisher, msgspec.json.decode(bytes(entry.event))["id"]] += 1
        for publisher, events, _ in self._market.memory.stored:
            for event in events:
                must(decided[publisher, event["id"]] or _is_unreadable(event), f"{event['id']} has no outcome any more")
        arena = _Looked(self._data, self._ledger)
        for check in (the_ledger_verifies, the_ledger_adds_up, deciding_again_leads_to_the_same):
            await asyncio.to_thread(check, arena, _NO_EVIDENCE)  # type: ignore[arg-type]
        if self._damage.stream in ("journal", "intake", ""):
            async with stack.connected(PROVISIONER) as client:
                journal = {each.seq: each.body for each in await read_stream(client, subjects.journal_stream(MARKET))}
            if len(journal) == len(archived):
                must(journal == archived, "the journal is not what is archived")

    async def _restore(self) -> dict[str, Any]:
        """Restore as an operator does, who is told when something would have to be given up."""
        arguments = ["ledger", "restore", "--actor", "amy", "--ticket", "t-1", "--json", "--data", str(self._data)]
        status, said = await groupbuy(*arguments, "--market", MARKET)
        if status != 0:
            must("--replace" in said, f"restore ended with status {status} and said: {said}")
            status, said = await groupbuy(*arguments, "--market", MARKET, "--replace")
        must(status == 0, f"restore ended with status {status} and said: {said}")
        restored: dict[str, Any] = msgspec.json.decode(said)
        must(restored["record"] == max(self._market.archived), f"restored through {restored['record']} only")
        return restored


class _Looked:
    """What the checks of a ledger need to know of where it is."""

    def __init__(self, data: Path, ledger: Callable[[], LedgerStore]) -> None:
        self.data = data
        self.ledger = ledger


_NO_EVIDENCE: Final = Evidence(Memory(), [], [], [], [])


def _batches(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield events in batches of one family."""
    for _, of_family in groupby(sorted(events, key=family_of), key=family_of):
        waiting = list(of_family)
        for first in range(0, len(waiting), BATCH_EVENTS):
            yield waiting[first : first + BATCH_EVENTS]


def _is_unreadable(event: dict[str, Any]) -> bool:
    """Tell whether only length and hash are kept of an event: shoppers send some with an id that is none."""
    return " " in str(event["data"].get("order", ""))


def _names_exactly(sentence: str, first_seq: int, last_seq: int) -> bool:
    named = MISSING.search(sentence)
    return named is not None and (int(named[1]), int(named[2])) == (first_seq, last_seq)


async def _alarm(stack: Stack) -> str:
    """Return what a service says is missing or broken for good, "" when none does."""
    return next(iter(await _alarms(stack)), "")


async def _alarms(stack: Stack) -> list[str]:
    try:
        services = stack.address.services
    except AssertionError:
        return []
    alarms: list[str] = []
    for name, url in services.items():
        try:
            status, body = await http_get(f"{url}/healthz")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
        checks = msgspec.json.decode(body)["checks"].values() if status != 200 and name != "gateway" else ()
        broken = [check["sentence"] for check in checks if check["status"] == "unhealthy"]
        alarms += [f"{name}: {said}" for said in broken if any(words in said for words in _ALARMS)]
    return alarms
