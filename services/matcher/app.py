"""The matcher's process: one place that wires configuration, broker, health and the loop."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from events.counted import counted
from services.bus.config import ConfigError, ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Health, Status, serve_health
from services.bus.service import EXIT_LOST
from services.matcher.domain.facts import Facts
from services.matcher.loop import Matcher
from services.matcher.snapshots import SnapshotStore
from services.matcher.standby import Standby
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


def make_matcher(config: ServiceConfig, broker: ServiceBroker) -> Matcher:
    """Return the matcher of `config.market`, not running yet. Raises ConfigError when its key cannot be used."""
    return Matcher(
        broker,
        config.market,
        config.user,
        Facts(load_market_key(config.market_key_file)),
        pinned_zones(),
        SnapshotStore(config.data_dir / "matcher", config.market),
        standby_s=config.standby_s,
        rehearsed=config.rehearsed,
    )


@contextlib.asynccontextmanager
async def running_matcher(matcher: Matcher, market: str) -> AsyncIterator[None]:
    """Run a matcher while this is entered; at the end it commits what is at hand."""
    running = asyncio.create_task(matcher.run(), name=f"matcher {market}")
    running.add_done_callback(_report_end)
    observing = asyncio.create_task(_observe(matcher), name=f"matcher metrics {market}")
    try:
        yield
    finally:
        matcher.stop()
        observing.cancel()
        await asyncio.gather(running, observing, return_exceptions=True)


@contextlib.asynccontextmanager
async def matcher(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[None]:
    """Run the matcher of `config.market` until the process is asked to stop. Raises ConfigError, HttpError."""
    leading = make_matcher(config, broker)
    health = Health("matcher")
    health.add("matcher", lambda: check(leading))
    server = await serve_health(health, leading.metrics.metrics, config.health_port)
    try:
        async with running_matcher(leading, config.market):
            yield
    finally:
        await server.stop()


def check(leading: Matcher) -> Check:
    """Return how the matcher is doing, for Health."""
    if leading.broken is not None:
        return Check(Status.UNHEALTHY, leading.broken)
    if leading.standby is not None:
        return _check_standby(leading, leading.standby)
    if not leading.leads:
        return Check(Status.UNHEALTHY, "reading the journal, not deciding yet")
    behind = f"{counted(leading.lag, 'intake message is', 'intake messages are')} not decided yet"
    if leading.lag and leading.silent_s > STALLED_S:
        return Check(Status.UNHEALTHY, f"{behind}, and nothing was committed for {leading.silent_s:.0f} s")
    return leading.lag_clock.check(behind) or Check(
        Status.OK, behind if leading.lag else "everything received is decided"
    )


def _check_standby(matcher: Matcher, standby: Standby) -> Check:
    again = f"{matcher.rehearsed_entries} entries decided again, all of them the same"
    told = f"standing by after record {matcher.standing.seq}; {again}"
    found = standby.check()
    return Check(found.status, told if found.status is Status.OK else f"{told}; {found.sentence}")


async def _observe(leading: Matcher) -> None:
    while True:
        await asyncio.sleep(1.0)
        leading.metrics.lag.set(leading.lag)
        leading.metrics.lag_age.set(leading.lag_clock.age_s)
        leading.metrics.leads.set(leading.leads)
        leading.metrics.rehearsed.set(leading.rehearsed_entries)
        if leading.engine is not None:
            leading.metrics.tallied(leading.engine.tally)
            leading.metrics.open_groups.set(sum(o.open_groups for o in leading.engine.state.offers.values()))


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the matcher has failed", exc_info=error)
        # Whatever it is, the state may be half changed: nothing of it is worth an orderly end, and the supervisor
        # starts a fresh process from the journal.
        logging.shutdown()
        os._exit(EXIT_LOST)
