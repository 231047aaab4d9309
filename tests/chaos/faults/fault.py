"""What a fault is: something that is done to one part of the stack, and is over when it returns."""

import random
from typing import Protocol

from tests.chaos.arena import Arena


class Fault(Protocol):
    """One kind of fault. Only one at a time strikes the same `part`; others go on meanwhile."""

    kind: str
    part: str

    def why_not(self, arena: Arena) -> str | None:
        """Return why this cannot be done here, or None."""

    async def strike(self, arena: Arena, chance: random.Random) -> bool:
        """Do it, and undo what would not go away by itself; `chance` decides how. Return whether it came to it."""
