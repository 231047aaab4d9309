"""Every fault that there is, and how a seed makes a schedule of them."""

import asyncio
import random
from collections.abc import Iterator
from typing import Final

from tests.chaos.arena import BROKER, Arena
from tests.chaos.faults.fault import Fault
from tests.chaos.faults.processes import PARTS, Kill, Pause, Restart, Rival
from tests.chaos.faults.readers import SlowConsumer, SlowSender
from tests.chaos.faults.storage import (
    DISKS,
    CutCommit,
    DamagedSnapshot,
    DatabaseRestart,
    EndedSessions,
    FullDisk,
    RefusedCommits,
)
from tests.chaos.postgres import Cut

MENU: Final[tuple[Fault, ...]] = (
    *(Kill(part) for part in PARTS),
    *(Pause(part) for part in PARTS),
    Restart(BROKER),
    Rival(),
    *(FullDisk(part) for part in DISKS),
    DamagedSnapshot(),
    SlowConsumer(),
    SlowSender(),
    DatabaseRestart("fast"),
    DatabaseRestart("immediate"),
    EndedSessions(),
    RefusedCommits(),
    CutCommit(Cut.BEFORE),
    CutCommit(Cut.AFTER),
)
AT_ONCE_MAX: Final = 4


class Wrecking:
    """Faults of a round, one after the other by the seed, some while others still go on."""

    def __init__(self, arena: Arena, menu: tuple[Fault, ...] = MENU) -> None:
        self._arena = arena
        self._going_on: set[asyncio.Task[None]] = set()
        self._possible = []
        for fault in [fault for fault in menu if arena.setting.only in fault.kind]:
            reason = fault.why_not(arena)
            if reason is None:
                self._possible.append(fault)
            else:
                arena.tally.skipped[fault.kind] = reason

    async def run(self) -> None:
        """Strike until cancelled; what still goes on then is ended by `end`."""
        chance = self._arena.chance
        for fault in self._deck(chance) if self._possible else ():
            await asyncio.sleep(chance.uniform(*self._arena.setting.calm_s))
            own = random.Random(chance.random())
            while len(self._going_on) >= AT_ONCE_MAX:
                await asyncio.wait(self._going_on, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._strike(fault, own), name=fault.kind)
            self._going_on.add(task)
            task.add_done_callback(self._going_on.discard)

    async def end(self) -> None:
        """Wait until what still goes on is over. Raises what one of them raised."""
        if self._going_on:
            await asyncio.gather(*self._going_on)

    def _deck(self, chance: random.Random) -> Iterator[Fault]:
        """Yield faults for ever: all of them in some order, then all of them in another."""
        while True:
            yield from chance.sample(self._possible, len(self._possible))

    async def _strike(self, fault: Fault, chance: random.Random) -> None:
        async with self._arena.locks[fault.part]:
            if await fault.strike(self._arena, chance):
                self._arena.tally.faults[fault.kind] += 1
