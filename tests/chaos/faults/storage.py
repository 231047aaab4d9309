"""What can happen to what is stored: a disk is full, a snapshot is damaged, a database fails at the wrong moment."""

import asyncio
import random
from pathlib import Path
from typing import Final

from deploy.permissions import LEDGER, MATCHER
from tests.chaos.arena import BROKER, Arena
from tests.chaos.damage import flip_bits, truncate
from tests.chaos.postgres import Cut

LEFT_BYTES: Final = (0, 64 * 1024)
COMMIT_WITHIN_S: Final = 10.0


class FullDisk:
    """No room under broker, ledger or snapshots, for a while."""

    def __init__(self, part: str) -> None:
        self.kind = f"full disk under {part}"
        self.part = part

    def why_not(self, arena: Arena) -> str | None:
        """Only where small disks can be mounted."""
        if self.part == LEDGER and arena.postgres is not None:
            return "the ledger is not on this disk"
        return arena.no_disks

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Take the room away, and give it back."""
        disk = arena.disks[self.part]
        left = chance.randint(*LEFT_BYTES)
        arena.say(f"{left} bytes are left under {self.part}")
        disk.fill(left)
        try:
            if self.part == MATCHER:
                # A snapshot is written when the matcher ends.
                async with arena.down(MATCHER):
                    pass
            await asyncio.sleep(chance.uniform(*arena.setting.full_s))
        finally:
            disk.make_room()
            arena.say(f"there is room under {self.part} again")
        return True


class DamagedSnapshot:
    """Flipped bits and missing ends in the matcher's snapshots, while it is down."""

    kind = "damaged snapshot"
    part = MATCHER

    def why_not(self, arena: Arena) -> str | None:
        """Always possible."""
        return None

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Damage every snapshot that a clean end has left."""
        async with arena.down(MATCHER):
            snapshots = sorted((arena.data / "matcher").glob("*.snapshot"))
            for snapshot in snapshots:
                self._damage(arena, chance, snapshot)
        return bool(snapshots)

    def _damage(self, arena: Arena, chance: random.Random, snapshot: Path) -> None:
        what = flip_bits(snapshot, chance) if chance.random() < 0.6 else truncate(snapshot, chance)
        arena.say(f"{snapshot.name}: {what}")


class DatabaseRestart:
    """PostgreSQL restarts: in order, or as after a crash."""

    part = "postgres"

    def __init__(self, mode: str) -> None:
        self.kind = f"postgresql restart ({mode})"
        self._mode = mode

    def why_not(self, arena: Arena) -> str | None:
        """Only where the ledger is in PostgreSQL."""
        return _why_no_postgres(arena)

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Restart it."""
        assert arena.postgres is not None
        arena.say(self.kind)
        await arena.postgres.restart(self._mode)
        return True


class EndedSessions:
    """An operator's `pg_terminate_backend`, or a failover, ends every session."""

    kind = "postgresql sessions ended"
    part = "postgres"

    def why_not(self, arena: Arena) -> str | None:
        """Only where the ledger is in PostgreSQL."""
        return _why_no_postgres(arena)

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """End them."""
        assert arena.postgres is not None
        arena.say(self.kind)
        await arena.postgres.end_sessions()
        return True


class RefusedCommits:
    """For a while every COMMIT of the ledger ends in an error."""

    kind = "postgresql refuses commits"
    part = "postgres"

    def why_not(self, arena: Arena) -> str | None:
        """Only where the ledger is in PostgreSQL."""
        return _why_no_postgres(arena)

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Refuse, and accept again."""
        assert arena.postgres is not None
        arena.say(self.kind)
        await arena.postgres.refuse_commits(refuse=True)
        try:
            await asyncio.sleep(chance.uniform(*arena.setting.full_s))
        finally:
            await arena.postgres.refuse_commits(refuse=False)
        return True


class CutCommit:
    """The connection is cut at COMMIT: before it arrives, or before its answer does."""

    part = "postgres"

    def __init__(self, where: Cut) -> None:
        self.kind = f"postgresql cut {where} commit"
        self._where = where

    def why_not(self, arena: Arena) -> str | None:
        """Only where the ledger is in PostgreSQL."""
        return _why_no_postgres(arena)

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Cut the next one."""
        assert arena.postgres is not None
        came = await arena.postgres.cut_next_commit(self._where, COMMIT_WITHIN_S)
        arena.say(f"{self.kind}: {'done' if came else 'no commit came'}")
        return came


def _why_no_postgres(arena: Arena) -> str | None:
    return None if arena.postgres is not None else "the ledger of this round is in SQLite"


DISKS: Final = (BROKER, LEDGER, MATCHER)
"""What has a disk of its own."""
