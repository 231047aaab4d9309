"""Keeps the processes of one stack alive: starts them in order, restarts what dies, ends them in order.

Nothing outlives the supervisor: a service is killed by the kernel when its parent goes, which is safe since
every service survives a kill at any instant; the broker is asked to end (see `deploy.broker`).
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from deploy.broker import EmbeddedBroker
from deploy.broker_error import BrokerError
from deploy.broker_log import StuckStore
from deploy.logs import last_line, limit_log
from services.bus.parent import end_with_parent

ROOT: Final = Path(__file__).resolve().parents[1]
STOP_TIMEOUT_S: Final = 10.0
BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0
# After this long without a death the next one counts as the first again.
STEADY_AFTER_S: Final = 5.0
BROKER_POLL_S: Final = 0.2
LOG_CHECK_S: Final = 60.0
MARKET_MARK: Final = "@"
"""Stands in a child's name before its market, if it serves not the first one: no market's name holds it."""

Say = Callable[[str], None]
"""Takes one sentence for whoever watches the supervisor."""


class Child(Protocol):
    """A process that the supervisor keeps alive for as long as it is wanted: from `start` to `stop`."""

    name: str
    wanted: asyncio.Event

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""

    async def start(self) -> None:
        """Start it."""

    async def wait(self) -> str:
        """Return when the process has ended, with how it ended."""

    async def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""


@dataclass(slots=True)
class ServiceChild:
    """One service, `python -m <module> <config>`, with its output in a log file."""

    name: str
    module: str
    config: Path
    log_file: Path
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the service."""
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        limit_log(self.log_file)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Without the directory the user happens to be in: it may hold a `services` of its own.
                "-P",
                "-m",
                self.module,
                str(self.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C in a terminal reaches the whole group; the supervisor ends the services in its order.
                process_group=0,
                preexec_fn=end_with_parent(signal.SIGKILL),
            )
        self.wanted.set()

    async def wait(self) -> str:
        """Return when the service has ended, with how it ended."""
        assert self._process is not None, "started"
        return how_it_ended(await self._process.wait())

    async def stop(self) -> None:
        """Ask the service to end; kill it after ten seconds."""
        self.wanted.clear()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def last_words(self) -> str:
        """Return the last line that the service wrote, or a hint where to look."""
        return last_line(self.log_file) or f"it said nothing; see {self.log_file}"


@dataclass(slots=True)
class BrokerChild:
    """The embedded broker, seen as one of the processes."""

    broker: EmbeddedBroker
    name: str = "broker"
    wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self.broker.pid

    async def start(self) -> None:
        """Start the broker; it keeps its port."""
        await self.broker.start()
        self.wanted.set()

    async def wait(self) -> str:
        """Return when the broker has ended, or had to be ended since it takes no more writes."""
        stuck = StuckStore(self.broker.log_file, self.broker.directory / "store")
        while True:
            if not self.broker.running:
                return "ended"
            if stuck.restart_helps():
                await self.broker.stop()
                return "could not write a stream any more, as after a full disk, and was ended"
            await asyncio.sleep(BROKER_POLL_S)

    async def stop(self) -> None:
        """Ask the broker to end; it flushes what it holds."""
        self.wanted.clear()
        await self.broker.stop()


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next restart: doubling, bounded, and short again after a steady time."""

    next_s: float = BACKOFF_FIRST_S

    def delay_s(self, ran_s: float) -> float:
        """Return the wait in seconds after a process that ran for `ran_s` has ended."""
        if ran_s >= STEADY_AFTER_S:
            self.next_s = BACKOFF_FIRST_S
        delay = self.next_s
        self.next_s = min(self.next_s * 2, BACKOFF_MAX_S)
        return delay


@dataclass(slots=True)
class Supervisor:
    """Children in starting order; they are ended in `stop_order`, unnamed ones last and last started first.

    A name in `stop_order` stands for every child of that name, whatever its number and its market.
    """

    children: Sequence[Child]
    say: Say
    stop_order: Sequence[str] = ()
    restarts: dict[str, int] = field(default_factory=dict)
    _watchers: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _limiting_logs: asyncio.Task[None] | None = None

    async def start_one(self, child: Child) -> None:
        """Start a child and watch it from now on."""
        await child.start()
        self.restarts.setdefault(child.name, 0)
        self._watchers[child.name] = asyncio.create_task(self._keep_alive(child), name=f"watch {child.name}")

    async def start(self) -> None:
        """Start every child that is not started yet, in order, and keep them all alive."""
        for child in self.children:
            if child.name not in self.restarts:
                await self.start_one(child)
        if self._limiting_logs is None:
            self._limiting_logs = asyncio.create_task(self._keep_logs_small(), name="limit logs")

    async def stop(self) -> None:
        """End every child, each after the one before has ended."""
        if self._limiting_logs is not None:
            self._limiting_logs.cancel()
        await self._end(self.children)

    async def remove(self, names: Collection[str]) -> None:
        """End the children of these names, in the same order, and know them no more."""
        await self._end([child for child in self.children if child.name in names])
        self.children = tuple(child for child in self.children if child.name not in names)
        for name in names:
            self.restarts.pop(name, None)

    async def _end(self, children: Sequence[Child]) -> None:
        watchers = [self._watchers.pop(child.name) for child in children if child.name in self._watchers]
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        waves = [[child for child in children if kind_of(child) == kind] for kind in self.stop_order]
        rest = [[child] for child in reversed(children) if kind_of(child) not in self.stop_order]
        for wave in (*waves, *rest):
            await asyncio.gather(*(child.stop() for child in wave))

    def kill(self, name: str) -> int | None:
        """End a child as a crash would; return the process id it had, or None when it was not running."""
        pid = next((child.pid for child in self.children if child.name == name), None)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    async def _keep_alive(self, child: Child) -> None:
        backoff, started = Backoff(), time.monotonic()
        while True:
            await child.wanted.wait()
            how = await child.wait()
            if not child.wanted.is_set():
                continue
            delay_s = backoff.delay_s(time.monotonic() - started)
            words = f": {child.last_words()}" if isinstance(child, ServiceChild) and "killed" not in how else ""
            self.say(f"{child.name} {how}{words}; starting it again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
            started = time.monotonic()
            self.restarts[child.name] += 1
            try:
                await child.start()
            except (BrokerError, OSError) as error:
                self.say(f"{child.name} cannot be started: {error}")

    async def _keep_logs_small(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            for child in self.children:
                if isinstance(child, ServiceChild):
                    limit_log(child.log_file)


def kind_of(child: Child) -> str:
    """Return what a child is a copy of: its name without number and market."""
    return child.name.partition(MARKET_MARK)[0].rstrip("0123456789").rstrip("-")


async def gather_all(starting: Iterable[Coroutine[None, None, None]]) -> None:
    """Do things at once. Raises the first error after all of them have ended."""
    found = await asyncio.gather(*starting, return_exceptions=True)
    for error in found:
        if error is not None:
            raise error


def how_it_ended(status: int) -> str:
    """Return the end of a process in words: `status` as subprocesses report it, negative for a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
