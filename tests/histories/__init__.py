"""Golden histories: what was once decided under a rule version must be decided so for ever.

Each file holds the records of one market, a line each, as the matcher wrote them. The tests decide them again and
compare byte for byte. A file that is on the main branch never changes; new rules add files.

`python -m tests.histories` makes the files that are missing and changes none.
"""

from pathlib import Path
from typing import Final

from events.record import hash_bytes
from tests.ledger_records import BuiltRecord

FOLDER: Final = Path(__file__).parent


def read_history(path: Path) -> list[BuiltRecord]:
    """Return the records of a history."""
    bodies = path.read_bytes().splitlines()
    return [BuiltRecord(seq, seq, hash_bytes(body), body) for seq, body in enumerate(bodies, start=1)]


def histories() -> list[Path]:
    """Return every history there is."""
    return sorted(FOLDER.glob("*.ndjson"))


def rule_version_of(path: Path) -> int:
    """Return the rule version that a history guards: its file is named `rule-<version>-<what>.ndjson`."""
    return int(path.name.split("-")[1])
