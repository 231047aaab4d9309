"""Makes the golden histories that are missing: random markets in which everything collides, kept until rules change."""

import sys
from typing import Final

from tests.histories import FOLDER
from tests.histories.scripts import SCRIPTS
from tests.ledger_market import decided_records

WANTED: Final = {
    "rule-1-mixed": (3, 330, "broker", "mixed"),
    "rule-1-merging": (4, 240, "broker", "merging"),
    "rule-1-large": (5, 240, "broker", "large"),
    "rule-1-event-clock": (6, 240, "event", "mixed"),
}
"""By name: seed, messages, clock and taste of the market."""


def main() -> None:
    """Make what is missing."""
    for name in (*WANTED, *SCRIPTS):
        path = FOLDER / f"{name}.ndjson"
        if path.exists():
            continue
        records = decided_records(*WANTED[name]) if name in WANTED else SCRIPTS[name]().records()
        bodies = [record.body for record in records]
        assert all(b"\n" not in body for body in bodies), "a record is one line"
        path.write_bytes(b"\n".join(bodies) + b"\n")
        sys.stdout.write(f"made {path.name}: {len(bodies)} records\n")


if __name__ == "__main__":
    main()
