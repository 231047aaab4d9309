"""`python -m services.ledger CONFIG.json [--keep-intake]`."""

import sys

from services.bus.service import run_service
from services.ledger.app import build
from services.ledger.trim import TrimPolicy

OPTION = "--keep-intake"
"""Leaves the intake as it is: nothing is trimmed once it is archived."""


def main(arguments: list[str]) -> int:
    """Run the ledger and return the exit status."""
    trim = TrimPolicy(enabled=OPTION not in arguments)
    return run_service([argument for argument in arguments if argument != OPTION], build(trim))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
