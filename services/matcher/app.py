"""The matcher's process: one place that wires configuration, broker, health and the loop."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from faststream import FastStream

from services.bus.config import ConfigError, ServiceConfig
from services.bus.connect import connect_broker
from services.bus.health import Check, Health, Status, serve_health
from services.bus.http import HttpServer
from services.matcher.domain.facts import Facts
from services.matcher.loop import Matcher
from services.matcher.snapshots import SnapshotStore
from services.matcher.zones import pinned_zones

STALLED_S: Final = 15.0
KEY_BYTES: Final = 32
_log: Final = logging.getLogger("groupbuy.matcher")


def load_market_key(path: Path | None) -> bytes:
    """Return the market's 32-byte key from a file with 64 hexadecimal digits. Raises ConfigError."""
    if path is None:
        raise ConfigError("market_key_file is missing: expected a file with 64 hexadecimal digits")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the market's key {path}: {error}") from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the market's key {path} has {len(key)} bytes, expected {KEY_BYTES}")
    return key


async def serve(config: ServiceConfig) -> None:
    """Run the matcher of `config.market` until the process is asked to stop."""
    facts = Facts(load_market_key(config.market_key_file))
    broker = await connect_broker(config)
    snapshots = SnapshotStore(config.data_dir / "matcher", config.market)
    matcher = Matcher(broker, config.market, config.user, facts, pinned_zones(), snapshots)
    health = Health("matcher")
    health.add("matcher", lambda: check(matcher))
    app = FastStream(broker, logger=None)
    running: list[asyncio.Task[None]] = []
    serving: list[HttpServer] = []

    async def start() -> None:
        serving.append(await serve_health(health, matcher.metrics.metrics, config.health_port))
        running.append(asyncio.create_task(matcher.run(), name=f"matcher {config.market}"))
        running.append(asyncio.create_task(_observe(matcher), name="matcher metrics"))
        running[0].add_done_callback(_report_end)

    async def stop() -> None:
        matcher.stop()
        running[1].cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await serving[0].stop()

    app.after_startup(start)
    app.on_shutdown(stop)
    await app.run()


def check(matcher: Matcher) -> Check:
    """Return how the matcher is doing, for Health."""
    if matcher.broken is not None:
        return Check(Status.UNHEALTHY, matcher.broken)
    if not matcher.leads:
        return Check(Status.UNHEALTHY, "reading the journal, not deciding yet")
    behind = f"{matcher.lag} intake messages are not decided yet"
    if matcher.lag and matcher.silent_s > STALLED_S:
        return Check(Status.UNHEALTHY, f"{behind}, and nothing was committed for {matcher.silent_s:.0f} s")
    return Check(Status.OK, behind if matcher.lag else "everything received is decided")


async def _observe(matcher: Matcher) -> None:
    while True:
        await asyncio.sleep(1.0)
        matcher.metrics.lag.set(matcher.lag)
        if matcher.engine is not None:
            matcher.metrics.tallied(matcher.engine.tally)
            matcher.metrics.open_groups.set(sum(o.open_groups for o in matcher.engine.state.offers.values()))


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the matcher has failed", exc_info=error)
        # Whatever it is, the state may be half changed: the supervisor starts a fresh process from the journal.
        asyncio.get_running_loop().call_soon(_fail)


def _fail() -> None:
    raise SystemExit(1)
