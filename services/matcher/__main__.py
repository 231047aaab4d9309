"""`python -m services.matcher CONFIG.json`: the matcher of one market."""

import sys

from services.bus.service import run_service
from services.matcher.app import matcher

if __name__ == "__main__":
    sys.exit(run_service(sys.argv[1:], matcher))
