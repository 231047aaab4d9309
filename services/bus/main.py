"""How every service process begins and ends: one argument, readable errors, uvloop, logs on stderr."""

import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvloop

from services.bus.config import ConfigError, ServiceConfig, load_config
from services.bus.connect import ConnectError
from services.bus.http import HttpError

UNUSABLE: Final = 2
_LOG_FORMAT: Final = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


def run_service(name: str, serve: Callable[[ServiceConfig], Awaitable[None]]) -> None:
    """Run `serve` with the configuration that the command line names; exit with status 2 when it is unusable."""
    if len(sys.argv) != 2:
        _end(f"usage: python -m services.{name} CONFIG.json")
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("groupbuy.faststream").setLevel(logging.WARNING)

    async def main() -> None:
        await serve(load_config(Path(sys.argv[1])))

    try:
        uvloop.run(main())
    except (ConfigError, ConnectError, HttpError) as error:
        _end(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _end(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    sys.exit(UNUSABLE)
