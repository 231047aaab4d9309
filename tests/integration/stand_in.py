"""A stand-in for a service, for the supervisor's tests: `python -m tests.integration.stand_in FILE`.

FILE says how it behaves: `stay` until it is asked to end, `stubborn` (asking does not help), or `die` at once.
"""

import signal
import sys
import time
from pathlib import Path


def main() -> None:
    manner = Path(sys.argv[1]).read_text().strip()
    if manner == "die":
        sys.exit("cannot work: nothing is as it should be")
    signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "stubborn" else lambda *_: sys.exit(0))
    while True:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
