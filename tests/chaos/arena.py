"""What a round is played on: one whole stack over small disks, and the means to do harm to each part of it."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.first_run import first_configuration, set_up_market
from deploy.permissions import GATEWAY, LEDGER, MATCHER, NOTIFIER
from deploy.reach import http_get
from deploy.stack import Stack, StackPlan
from deploy.supervisor import Child
from events.times import format_time_ns
from services.ledger.store import LedgerStore
from tests.chaos.disks import Disk, NoDisks
from tests.chaos.postgres import Postgres

MARKET: Final = "main"
SHOPS: Final = ("shop-a", "shop-b")
BROKER: Final = "broker"
SERVICES: Final = (MATCHER, LEDGER, NOTIFIER, GATEWAY)
DATABASES: Final = ("sqlite", "postgresql")
MIB: Final = 1024 * 1024
POLL_S: Final = 0.05
UP_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One round: everything that the seed does not choose. `fault_s` is how long faults go on."""

    seed: int
    database: str
    folder: Path
    fault_s: float
    calm_s: tuple[float, float] = (0.3, 2.0)
    """How long nothing is done between two faults."""
    pause_s: tuple[float, float] = (6.0, 11.0)
    """How long a process is stopped: past its peers' time-outs."""
    full_s: tuple[float, float] = (1.0, 3.0)
    disk_bytes: int = 512 * MIB
    shoppers: int = 4
    mounts: bool = True
    only: str = ""
    """Faults of which the kind contains this; empty for all."""


@dataclass
class Tally:
    """What was done to the stack."""

    faults: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    """Faults that cannot be made here, each with the reason."""


class Arena:
    """A running stack, entered and left like a context; leaving it ends everything that it started."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.chance = random.Random(setting.seed)
        self.tally = Tally()
        self.data = setting.folder / "data"
        self.postgres: Postgres | None = None
        self.disks: dict[str, Disk] = {}
        self.no_disks: str | None = None
        self.locks = {name: asyncio.Lock() for name in (BROKER, *SERVICES, "postgres", *("rival", "reader"))}
        """One fault at a time for each part."""
        self._stack: Stack | None = None
        self._paused: set[int] = set()
        setting.folder.mkdir(parents=True, exist_ok=True)
        self._log = (setting.folder / "chaos.log").open("a", encoding="utf-8", buffering=1)

    @property
    def stack(self) -> Stack:
        """The stack, once started."""
        assert self._stack is not None, "the arena is entered"
        return self._stack

    async def __aenter__(self) -> "Arena":
        try:
            await self._start()
        except BaseException:
            await asyncio.shield(self._end())
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(self._end())

    def say(self, sentence: str) -> None:
        """Write a line into the round's own log."""
        self._log.write(f"{format_time_ns(time.time_ns())} {sentence}\n")

    # The processes

    def child(self, name: str) -> Child:
        """Return a process of the stack by its name."""
        return next(child for child in self.stack.supervisor.children if child.name == name)

    async def pid(self, name: str) -> int:
        """Return the id of a process, waiting for one that is on its way back."""
        child = self.child(name)
        async with asyncio.timeout(UP_TIMEOUT_S):
            while (pid := child.pid) is None:
                await asyncio.sleep(POLL_S)
        return pid

    async def send(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process that runs; return its id."""
        pid = await self.pid(name)
        self.say(f"{number.name} to {name} ({pid})")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    async def pause(self, name: str, pause_s: float) -> None:
        """Stop a process where it stands, and let it go on after `pause_s`."""
        pid = await self.send(name, signal.SIGSTOP)
        self._paused.add(pid)
        try:
            await asyncio.sleep(pause_s)
        finally:
            self._let_go_on(pid)

    @contextlib.asynccontextmanager
    async def down(self, name: str) -> AsyncIterator[None]:
        """Have a process ended cleanly, and not started again before the body is done."""
        child = self.child(name)
        await child.stop()
        try:
            yield
        finally:
            await child.start()

    async def until_healthy(self, name: str, timeout_s: float = UP_TIMEOUT_S) -> str:
        """Wait until a service says that it is well; return what it last said when it does not, "" otherwise."""
        until, said = time.monotonic() + timeout_s, "nothing"
        while time.monotonic() < until:
            try:
                status, body = await http_get(f"{self.stack.address.services[name]}/healthz")
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                said = f"no answer ({type(error).__name__})"
            else:
                if status == 200:
                    return ""
                said = body.decode(errors="replace")
            await asyncio.sleep(POLL_S)
        return said

    def ledger(self) -> LedgerStore:
        """Open the archive for reading."""
        return LedgerStore.open(self._ledger_url, MARKET, data_dir=self.data, read_only=True)

    # Beginning and end

    @property
    def _ledger_url(self) -> str:
        return "sqlite:" if self.postgres is None else self.postgres.url

    async def _start(self) -> None:
        self._mount()
        if self.setting.database == "postgresql":
            self.postgres = Postgres(self.setting.folder / "postgres")
            await self.postgres.start()
        plan = StackPlan(data=self.data, market=MARKET, publishers=SHOPS, ledger_url=self._ledger_url)
        self._stack = Stack(plan, self.say)
        await self._stack.start()
        await set_up_market(self._stack, format_time_ns(time.time_ns()), first_configuration(SHOPS))

    def _mount(self) -> None:
        """Put a small disk under each of what writes; where that is not permitted, remember why."""
        if not self.setting.mounts:
            self.no_disks = "small disks were not asked for"
            return
        for name, folder in (
            (BROKER, self.data / "broker" / "store"),
            (LEDGER, self.data / "ledger"),
            (MATCHER, self.data / "matcher"),
        ):
            disk = Disk(folder, self.setting.disk_bytes)
            try:
                disk.mount()
            except NoDisks as reason:
                self.no_disks = str(reason)
                return
            self.disks[name] = disk

    async def _end(self) -> None:
        for pid in tuple(self._paused):
            self._let_go_on(pid)
        for disk in self.disks.values():
            disk.make_room()
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.stop()
        if self.postgres is not None:
            await self.postgres.stop()
        self._log.close()

    def unmount(self, keep_in: Path | None = None) -> None:
        """Take the disks away, once nobody uses them; with `keep_in` what is on them is kept there."""
        for name, disk in self.disks.items():
            disk.unmount(None if keep_in is None else keep_in / name)

    def _let_go_on(self, pid: int) -> None:
        self._paused.discard(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
