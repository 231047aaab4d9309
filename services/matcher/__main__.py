"""`python -m services.matcher CONFIG.json`: the matcher of one market, or those of a folder of markets."""

import sys
from contextlib import AbstractAsyncContextManager

from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.service import run_service
from services.matcher.app import matcher
from services.matcher.markets import markets


def build(config: ServiceConfig, broker: ServiceBroker) -> AbstractAsyncContextManager[None]:
    """Return what a configuration asks for."""
    return matcher(config, broker) if config.markets_dir is None else markets(config, broker)


if __name__ == "__main__":
    sys.exit(run_service(sys.argv[1:], build))
