"""Several markets in one process: a folder says which, and what is put there or taken away needs no restart.

Each market has a matcher of its own, which knows nothing of the others. Several processes may serve the same markets:
of each market one of them decides and the others stand by, the sooner the shorter the `standby_s` in their own folder.
So a market's home is where that is shortest, and whoever is left when a process dies takes over.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from events.counted import counted
from events.ids import is_name
from services.bus.config import ConfigError, ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import CHECKS_MAX, Check, Health, Metrics, Status, serve_health
from services.matcher.app import check, make_matcher, running_matcher
from services.matcher.loop import Matcher

LOOK_S: Final = 1.0
MARKETS_MAX: Final = CHECKS_MAX - 1
FILE_MAX_BYTES: Final = 64 * 1024
_OF_THE_PROCESS: Final = "groupbuy_matcher_process"
_log: Final = logging.getLogger("groupbuy.matcher.markets")


class MarketFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One market as a process serves it: `MARKET.json` in its folder.

    What is not said here is as in the configuration of the process.
    """

    market_key_file: str
    standby_s: float | None = None
    rehearsed: bool | None = None


class Markets:
    """The markets of a folder, each with its matcher, as long as it stands there."""

    def __init__(self, config: ServiceConfig, broker: ServiceBroker, health: Health) -> None:
        assert config.markets_dir is not None, "a folder of markets"
        self._config = config
        self._folder = config.markets_dir
        self._broker = broker
        self._health = health
        self._served: dict[str, _Served] = {}
        self._troubles: dict[str, str] = {}
        health.add("markets", self._check)

    @property
    def matchers(self) -> dict[str, Matcher]:
        """Return the matcher of each market that is served now."""
        return {market: served.matcher for market, served in self._served.items()}

    async def run(self) -> None:
        """Serve what the folder says until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Begin with markets that are new in the folder, and end those that are gone from it."""
        wanted = await asyncio.to_thread(self._read)
        for market in [market for market in self._served if market not in wanted]:
            await self._end(market)
        for market, config in wanted.items():
            if market not in self._served:
                await self._begin(market, config)

    async def close(self) -> None:
        """End all of them, after what is at hand has been committed."""
        await asyncio.gather(*(self._end(market) for market in list(self._served)))

    async def _begin(self, market: str, config: ServiceConfig) -> None:
        try:
            matcher = make_matcher(config, self._broker)
        except ConfigError as error:
            self._troubles[market] = str(error)
            return
        running = running_matcher(matcher, market)
        await running.__aenter__()
        self._served[market] = _Served(matcher, running)
        self._health.add(f"market {market}", lambda: check(matcher))
        _log.info("serving market %s", market)

    async def _end(self, market: str) -> None:
        served = self._served.pop(market)
        self._health.remove(f"market {market}")
        await served.running.__aexit__(None, None, None)
        _log.info("serving market %s no more", market)

    def _read(self) -> dict[str, ServiceConfig]:
        """Return the configuration of each market in the folder; what cannot be used is told by health."""
        self._troubles = {}
        found: dict[str, ServiceConfig] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                found[path.stem] = self._config_of(path)
            except ConfigError as error:
                self._troubles[path.stem] = str(error)
                if path.stem in self._served:
                    # Half written, perhaps: no reason to end what works.
                    found[path.stem] = self._config
        for market in list(found)[MARKETS_MAX:]:
            self._troubles[market] = f"market {market} is one too many: a process serves at most {MARKETS_MAX}"
            del found[market]
        return found

    def _config_of(self, path: Path) -> ServiceConfig:
        if not is_name(path.stem):
            raise ConfigError(f"{path}: expected the name of a market, 1 to 64 of A-Z a-z 0-9 _ -, and .json")
        try:
            with path.open("rb") as file:
                told = msgspec.json.decode(file.read(FILE_MAX_BYTES), type=MarketFile)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path} is not usable: {error}") from None
        return msgspec.structs.replace(
            self._config,
            market=path.stem,
            market_key_file=Path(told.market_key_file),
            standby_s=self._config.standby_s if told.standby_s is None else told.standby_s,
            rehearsed=self._config.rehearsed if told.rehearsed is None else told.rehearsed,
        )

    def _check(self) -> Check:
        if self._troubles:
            return Check(Status.DEGRADED, "; ".join(self._troubles.values()))
        return Check(Status.OK, f"{counted(len(self._served), 'market is', 'markets are')} served")


class _Served(msgspec.Struct):
    matcher: Matcher
    running: contextlib.AbstractAsyncContextManager[None]


class _ByMarket(Collector):
    """The figures of every market's matcher, each with the label `market`."""

    def __init__(self, matchers: Callable[[], dict[str, Matcher]]) -> None:
        self._matchers = matchers

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        families: dict[str, Metric] = {}
        for market, matcher in self._matchers().items():
            for family in matcher.metrics.metrics.registry.collect():
                if family.name.startswith(_OF_THE_PROCESS):
                    continue
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                merged.samples += [
                    sample._replace(labels={**sample.labels, "market": market}) for sample in family.samples
                ]
        yield from families.values()


@contextlib.asynccontextmanager
async def markets(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[None]:
    """Run the matchers of all markets in the configuration's folder. Raises HttpError when the port cannot be had."""
    health, metrics = Health("matcher"), Metrics("matcher")
    served = Markets(config, broker, health)
    metrics.registry.register(_ByMarket(lambda: served.matchers))
    server = await serve_health(health, metrics, config.health_port)
    looking = asyncio.create_task(served.run(), name="markets")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await served.close()
        await server.stop()
