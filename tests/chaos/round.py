"""One round: a stack, clients, faults; then everything is healed, and must come to an end, and all promises be kept."""

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import nats.errors

from deploy.permissions import NOTIFIER, PROVISIONER
from deploy.reach import http_get
from events import decisions as d
from events import subjects
from events.record import decode_entry, decode_record
from events.times import format_time_ns
from services.bus.client import GroupBuyClient
from services.ledger.faults import LedgerError
from tests import builders as make
from tests.chaos.arena import MARKET, SERVICES, SHOPS, Arena, Setting
from tests.chaos.checks import CHECKS
from tests.chaos.evidence import Evidence, Violation, chain_of, gather, read_stream
from tests.chaos.faults.menu import Wrecking
from tests.chaos.shoppers import Memory, Shopper

SHOPPER_PAUSE_S: Final = 0.08
PATIENCE_S: Final = 240.0
POLL_S: Final = 0.3
_TOLD: Final = re.compile(rb"^groupbuy_notifier_record\{[^}]*\} (\S+)", re.MULTILINE)


@dataclass
class Result:
    """What became of a round."""

    seed: int
    database: str
    violation: str | None = None
    faults: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)
    """Damages to the broker's files, and what they led to."""
    events: int = 0
    entries: int = 0
    retries: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    kept: str | None = None
    """The folder with logs and data, kept where something was wrong."""


Playing = Callable[[Arena, Memory, Result], Awaitable[None]]


async def play(setting: Setting, playing: "Playing | None" = None) -> Result:
    """Play a round, or something else on its stack, and look at what came of it.

    The folder stays only where something was wrong.
    """
    begun_s = time.monotonic()
    result = Result(setting.seed, setting.database)
    arena = Arena(setting)
    memory = Memory()
    try:
        async with arena:
            try:
                await (playing or play_round)(arena, memory, result)
            except (Violation, ExceptionGroup) as found:
                result.violation = in_words(found)
                arena.say(f"VIOLATION: {result.violation}")
        result.faults, result.skipped = dict(arena.tally.faults), arena.tally.skipped
        result.events, result.retries = result.events + memory.sent, memory.retries
    except BaseException as error:
        # Whoever interrupts wants nothing kept.
        _clear_up(arena, keep=isinstance(error, Exception))
        raise
    _clear_up(arena, keep=result.violation is not None)
    result.kept = str(setting.folder) if result.violation is not None else None
    result.seconds = time.monotonic() - begun_s
    return result


def in_words(error: Exception) -> str:
    """Return what went wrong first; where tasks ran together, what the first of them met."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"


def _clear_up(arena: Arena, *, keep: bool) -> None:
    folder = arena.setting.folder
    arena.unmount(folder / "disks" if keep else None)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


async def play_round(arena: Arena, memory: Memory, result: Result) -> None:
    await _live(arena, memory)
    await until_done(arena)
    await _close_every_group(arena)
    await until_done(arena)
    async with arena.stack.connected(PROVISIONER) as client:
        evidence = await gather(client, memory)
    evidence.notes["intake_last_seq"] = await arena.stack.intake_last_seq()
    result.entries = len(evidence.entries)
    await _check(arena, evidence)
    result.notes = evidence.notes


async def _check(arena: Arena, evidence: Evidence) -> None:
    for check in CHECKS:
        try:
            await asyncio.to_thread(check, arena, evidence)
        except Violation as found:
            raise Violation(f"{check.__name__}: {found}") from None


async def _live(arena: Arena, memory: Memory) -> None:
    """Let clients and faults loose; return when the faults are over and every client has what it asked for."""
    enough = asyncio.Event()
    shoppers = [Shopper(arena, memory, number, SHOPPER_PAUSE_S) for number in range(arena.setting.shoppers)]
    wrecking = Wrecking(arena)
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(shopper.run(enough)) for shopper in shoppers]
        working.append(tasks.create_task(_wreck(arena, wrecking, enough)))
        watching = tasks.create_task(_lose_patience(arena, enough))
        await asyncio.wait(working)
        watching.cancel()


async def _lose_patience(arena: Arena, enough: asyncio.Event) -> None:
    """Raise Violation when clients still wait for an answer long after the faults were over."""
    await enough.wait()
    await asyncio.sleep(PATIENCE_S)
    said = [f"{name}: {said}" for name in SERVICES if (said := await arena.until_healthy(name, timeout_s=0.1))]
    raise Violation(f"liveness: {PATIENCE_S:.0f} s after the faults were over clients are not answered; {said}")


async def _wreck(arena: Arena, wrecking: Wrecking, enough: asyncio.Event) -> None:
    striking = asyncio.create_task(wrecking.run())
    try:
        async with asyncio.timeout(arena.setting.fault_s):
            await striking
            await asyncio.sleep(arena.setting.fault_s)
    except TimeoutError:
        pass
    await wrecking.end()
    arena.say("the faults are over")
    enough.set()


# The end


async def until_done(arena: Arena, patience_s: float = PATIENCE_S) -> None:
    """Wait until everything is decided, archived and told, and every service says that it is well."""
    until = time.monotonic() + patience_s
    open_ends = "nothing was looked at"
    while time.monotonic() < until:
        try:
            open_ends = await _open_ends(arena)
        except (nats.errors.Error, LedgerError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            open_ends = f"{type(error).__name__}: {error}"
        if not open_ends:
            return
        await asyncio.sleep(POLL_S)
    raise Violation(f"liveness: {patience_s:.0f} s after the faults were over: {open_ends}")


async def _open_ends(arena: Arena) -> str:
    """Return what is not done yet, "" when everything is."""
    for name in SERVICES:
        if said := await arena.until_healthy(name, timeout_s=0.1):
            return f"{name} is not well: {said}"
    intake_seq = await arena.stack.intake_last_seq()
    async with arena.stack.connected(PROVISIONER) as client:
        last = await client.jetstream().get_last_msg(subjects.journal_stream(MARKET), subjects.journal(MARKET))
    record = decode_record(last.data or b"")
    final = decode_entry(record.entries[-1])
    if (final.seq, final.index) != (intake_seq, record.through.events - 1):
        return f"decided is intake message {final.seq} of {intake_seq}"
    archived = await asyncio.to_thread(_archived_through, arena)
    if archived != last.seq:
        return f"archived is journal message {archived} of {last.seq}"
    told = await _told_through(arena)
    return "" if told == last.seq else f"told is journal message {told} of {last.seq}"


def _archived_through(arena: Arena) -> int:
    with arena.ledger() as store:
        return store.position[0]


async def _told_through(arena: Arena) -> int:
    """Return the last record that the notifier has told through every channel, by its own figures."""
    _, body = await http_get(f"{arena.stack.address.services[NOTIFIER]}/metrics")
    return min(int(float(found)) for found in _TOLD.findall(body))


async def _close_every_group(arena: Arena) -> None:
    """Have customer service dissolve what is still open, so that every payment ends somewhere."""
    async with arena.stack.connected(PROVISIONER) as client:
        records = chain_of(await read_stream(client, subjects.journal_stream(MARKET)))
    still_open: dict[str, None] = {}
    for _, record, _ in records:
        for decision in (each for raw in record.entries for each in decode_entry(raw).decisions):
            if isinstance(decision, d.GroupOpened):
                still_open[decision.group] = None
            elif isinstance(decision, d.GroupMerged | d.GroupFilled | d.GroupExpired | d.GroupDissolved):
                still_open.pop(decision.group, None)
    arena.say(f"{len(still_open)} groups are still open: dissolving them")
    seed_file = arena.data / "keys" / f"{SHOPS[0]}.nk"
    url = arena.stack.address.nats_url
    async with await GroupBuyClient.connect(url, market=MARKET, publisher=SHOPS[0], seed_file=seed_file) as client:
        for group in still_open:
            now = format_time_ns(time.time_ns())
            await client.publish({**make.dissolved(group), "id": f"close-{group}", "time": now})
