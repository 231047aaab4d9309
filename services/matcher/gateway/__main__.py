"""`python -m services.matcher.gateway CONFIG.json`: the gateway of one market."""

import sys

from services.bus.service import run_service
from services.matcher.gateway.app import gateway

if __name__ == "__main__":
    sys.exit(run_service(sys.argv[1:], gateway))
