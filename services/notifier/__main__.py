"""`python -m services.notifier CONFIG.json [--sent-through SEQ]`."""

import sys

from services.bus.service import EXIT_UNUSABLE, run_service
from services.notifier.app import build
from services.notifier.dispatch.database import OutboxError

OPTION = "--sent-through"


def main(arguments: list[str]) -> int:
    """Run the notifier and return the exit status."""
    sent_through: int | None = None
    if OPTION in arguments:
        at = arguments.index(OPTION)
        value = "".join(arguments[at + 1 : at + 2])
        if not (value.isascii() and value.isdigit()):
            print(f"{OPTION} needs the sequence of a record of the journal, or 0; got {value!r}", file=sys.stderr)
            return EXIT_UNUSABLE
        sent_through = int(value)
        arguments = arguments[:at] + arguments[at + 2 :]
    return run_service(arguments, build(sent_through), unusable=(OutboxError,))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
