"""One service process: configuration, log, connection and FastStream app, from start to a clean end."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop
from faststream import FastStream

from services.bus.config import ConfigError, ServiceConfig, load_config
from services.bus.connect import ConnectError, ServiceBroker, connect_broker, exit_when_lost, leave_deaf_nodes
from services.bus.http import HttpError

EXIT_OK: Final = 0
EXIT_LOST: Final = 1
EXIT_UNUSABLE: Final = 2
EXIT_INTERRUPTED: Final = 130
YOUNG_OBJECTS: Final = 50_000
"""Allocations between collections: what a service makes for a message has no cycles, and goes with the message."""
LOG_FORMAT: Final = "%(asctime)s %(levelname).1s %(name)s: %(message)s"

Build = Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[object]]


def run_service(arguments: Sequence[str], build: Build, unusable: tuple[type[Exception], ...] = ()) -> int:
    """Run the service that `build` makes until it is asked to end; return the exit status.

    `arguments` is the one path of a configuration file. `build(config, broker)` is entered once the broker is
    connected and left before the connection is closed; it must not open task groups of its own, since it is
    left in another task than it was entered in. Errors of the kinds in `unusable`, and of configuration,
    connection and ports, end the process with status 2 and one sentence instead of a traceback. Status 1 asks
    whoever supervises it to start it again.
    """
    if len(arguments) != 1:
        print("usage: python -m <service> CONFIG.json", file=sys.stderr)
        return EXIT_UNUSABLE
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("groupbuy.faststream").setLevel(logging.WARNING)
    gc.set_threshold(YOUNG_OBJECTS, 50, 1_000)
    told: tuple[type[Exception], ...] = (ConfigError, ConnectError, HttpError, *unusable)
    try:
        lost = uvloop.run(serve(load_config(Path(arguments[0])), build))
    except told as error:
        print(error, file=sys.stderr)
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        # Before the app has taken over the signals: there is nothing to end cleanly yet.
        return EXIT_INTERRUPTED
    return EXIT_LOST if lost else EXIT_OK


async def serve(config: ServiceConfig, build: Build) -> bool:
    """Connect and run the service until a signal ends it; return whether the connection was lost for good."""
    broker = await connect_broker(config)
    app = FastStream(broker, logger=None)
    async with AsyncExitStack() as parts:
        parts.push_async_callback(broker.stop)

        async def begin() -> None:
            await parts.enter_async_context(build(config, broker))
            # What is there now lives as long as the process: the collector need not look at it again.
            gc.freeze()

        # The parts begin once the app is up, and end before FastStream closes the connection.
        app.after_startup(begin)
        app.on_shutdown(parts.aclose)
        watching = asyncio.create_task(exit_when_lost(app, broker), name="connection watch")
        leaving = asyncio.create_task(leave_deaf_nodes(broker, config.market), name="deaf node watch")
        try:
            await app.run()
        finally:
            watching.cancel()
            leaving.cancel()
    return broker.lost.is_set()
