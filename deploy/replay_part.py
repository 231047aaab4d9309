"""A process that decides one part of a ledger again: `python -m deploy.replay_part`, a task on standard input."""

import sys
from typing import Final

from services.ledger.replay_part import answer
from services.matcher.zones import pinned_zones

MODULE: Final = "deploy.replay_part"

if __name__ == "__main__":
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read(), pinned_zones()))
