"""Snapshots bound how much of the journal a restart reads; they are disposable and trusted only when they fit."""

import gc
import hashlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from events.undecodable import UNDECODABLE
from services.bus.parent import end_with_parent
from services.matcher.high_water import HighWater
from services.matcher.log import Standing

STATE_SCHEMA: Final = 8
"""Goes up with every change of `domain.state`: a snapshot of another schema is not read."""
EVERY_ENTRIES: Final = 1_000_000
# A snapshot costs in proportion to the orders in it. After a million entries however many there are, it would cost the
# more an entry the more there are; after half as many entries as orders a restart reads at most half as much again.
ORDERS_PER_ENTRY: Final = 2
KEPT: Final = 2
_SEQUENCE: Final = "[0-9]" * 20
"""Exactly the digits of a sequence: market `a` must not take the snapshots of market `a-2` for its own."""
_MAGIC: Final = b"groupbuy-snapshot\n"
_DIGEST_BYTES: Final = 32
_FILES_MAX: Final = 1 << 20
# What is decided now matters more than a quick restart: with both cores busy a snapshot of two million orders at a
# niceness of 5 took a sixth of them, and everybody fell a second behind for as long as it was written.
_SAVING_NICENESS: Final = 19

_log: Final = logging.getLogger("groupbuy.matcher.snapshots")


class Snapshot(msgspec.Struct, kw_only=True):
    """A market's state after one record."""

    schema: int
    market: str
    journal: str
    """Identity of the journal stream."""
    standing: Standing
    state: bytes


def is_due(entries: int, orders: int) -> bool:
    """Tell whether so many entries since the last snapshot ask for one of so many orders."""
    return entries >= max(EVERY_ENTRIES, orders // ORDERS_PER_ENTRY)


class Saving:
    """A process that writes a snapshot."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def ended(self, wait: bool = False) -> bool | None:
        """Return None while it is at work (with `wait` it is waited for), then whether the snapshot is written."""
        try:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:
            return False
        return None if pid == 0 else status == 0


class SnapshotStore:
    """The snapshots of one market in a folder, newest by name."""

    def __init__(self, folder: Path, market: str) -> None:
        """Use `folder`, which is made when something is first saved."""
        self._folder = folder
        self._market = market
        self.high_water = HighWater(folder, market)

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot so that it is whole or absent, and drop older ones. Raises OSError when it cannot be."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        body = msgspec.msgpack.encode(snapshot)
        target = self._folder / f"{self._market}-{snapshot.standing.seq:020d}.snapshot"
        # What a process left that was killed while it wrote; nobody else writes here.
        for left in self._folder.glob(f"{self._market}-{_SEQUENCE}.*.tmp"):
            left.unlink(missing_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(body).digest())
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)

    def save_aside(self, make: Callable[[], Snapshot]) -> "Saving | None":
        """Begin to write the snapshot that `make` makes of this very moment, without holding up the caller.

        A forked process has the state as it is now, while this one goes on changing its own: to encode a million
        groups takes more than a second, to fork some ten milliseconds. For that while it may need the state's memory
        once more. Only on Linux; None elsewhere, or when no process can be had.
        """
        if not sys.platform.startswith("linux"):
            return None
        end_with_matcher = end_with_parent(signal.SIGKILL)
        try:
            with warnings.catch_warnings():
                # Later interpreters warn of forking with threads: the child touches nothing that one could hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError as error:
            _log.warning("cannot fork to save a snapshot: %s", error.strerror)
            return None
        return Saving(pid) if pid else self._save_and_exit(make, end_with_matcher)

    def _save_and_exit(self, make: Callable[[], Snapshot], end_with_matcher: Callable[[], None] | None) -> NoReturn:
        """Be the forked process: write and end, without a word to anything that the parent owns.

        It ends with the matcher: the next one would else find somebody who writes where it does.
        """
        status = 1
        try:
            if end_with_matcher is not None:
                end_with_matcher()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            # Or a parent that is killed would leave its ports and its connection in use.
            os.closerange(3, _FILES_MAX)
            os.nice(_SAVING_NICENESS)
            # A collection would touch, and so copy, every page that is shared with the parent.
            gc.disable()
            self.save(make())
            status = 0
        finally:
            os._exit(status)

    def load(self, journal: str) -> list[Snapshot]:
        """Return the usable snapshots of the journal with this identity, newest first."""
        found = [snapshot for path in self._files() if (snapshot := self._read(path)) is not None]
        return [s for s in found if s.journal == journal and s.market == self._market and s.schema == STATE_SCHEMA]

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._market}-{_SEQUENCE}.snapshot"), reverse=True)

    def _read(self, path: Path) -> Snapshot | None:
        try:
            content = path.read_bytes()
        except OSError as error:
            _log.warning("cannot read the snapshot %s: %s; going on without it", path.name, error.strerror)
            return None
        head = len(_MAGIC) + _DIGEST_BYTES
        body = content[head:]
        if content[:head] != _MAGIC + hashlib.sha256(body).digest():
            _log.warning("the snapshot %s is damaged; going on without it", path.name)
            return None
        try:
            return msgspec.msgpack.decode(body, type=Snapshot)
        except UNDECODABLE:
            _log.warning("the snapshot %s has another form; going on without it", path.name)
            return None
