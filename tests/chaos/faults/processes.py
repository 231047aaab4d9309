"""What can happen to a process: it is killed, it stands still, it is restarted, or there are suddenly two of it."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from deploy.permissions import MATCHER
from deploy.stack_files import free_service_port
from deploy.supervisor import ROOT
from tests.chaos.arena import BROKER, Arena

RIVAL_S: Final = (1.5, 4.0)
RIVAL_END_TIMEOUT_S: Final = 15.0


class Kill:
    """kill -9, as a crash or a machine that goes away; the supervisor starts the process again."""

    def __init__(self, part: str) -> None:
        self.kind = f"kill {part}"
        self.part = part

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Kill, and wait until there is another process."""
        killed = await arena.send(self.part, signal.SIGKILL)
        while await arena.pid(self.part) == killed:
            await asyncio.sleep(0.05)
        return True


class Pause:
    """SIGSTOP for longer than its peers wait, then SIGCONT: it goes on in the middle of what it did."""

    def __init__(self, part: str) -> None:
        self.kind = f"pause {part}"
        self.part = part

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Stop the process for a while."""
        await arena.pause(self.part, chance.uniform(*arena.setting.pause_s))
        return True


class Restart:
    """A clean restart, as for an upgrade."""

    def __init__(self, part: str) -> None:
        self.kind = f"restart {part}"
        self.part = part

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """End the process, leave it ended for a moment, and start it."""
        async with arena.down(self.part):
            arena.say(f"{self.part} is down for a restart")
            await asyncio.sleep(chance.uniform(0.0, 1.0))
        return True


class Rival:
    """A second matcher takes over while the first stands still; then the first goes on, and both believe they lead."""

    kind = "rival matcher"
    part = MATCHER

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Stop the matcher, have another decide, and let both decide at once."""
        async with _second_matcher(arena):
            if chance.random() < 0.7:
                await arena.pause(self.part, chance.uniform(*RIVAL_S))
            await asyncio.sleep(chance.uniform(*RIVAL_S))
        return True


@contextlib.asynccontextmanager
async def _second_matcher(arena: Arena):  # type: ignore[no-untyped-def]
    """Run another matcher of the same market, with snapshots of its own, and kill it in the end."""
    own = msgspec.json.decode((arena.data / "config" / "matcher.json").read_bytes())
    folder = arena.setting.folder / "rival"
    folder.mkdir(exist_ok=True)
    config = folder / "matcher.json"
    config.write_bytes(msgspec.json.encode({**own, "data_dir": str(folder), "health_port": free_service_port()}))
    process = await _start(config, folder / "matcher.log")
    arena.say(f"a second matcher ({process.pid})")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(RIVAL_END_TIMEOUT_S):
            await process.wait()
        arena.say(f"the second matcher ({process.pid}) is gone")


async def _start(config: Path, log_file: Path) -> asyncio.subprocess.Process:
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "services.matcher",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


PARTS: Final = (BROKER, "matcher", "ledger", "notifier", "gateway")
"""Every process of a stack."""
