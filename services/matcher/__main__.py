"""`python -m services.matcher CONFIG.json`."""

from services.bus.main import run_service
from services.matcher.app import serve

if __name__ == "__main__":
    run_service("matcher", serve)
