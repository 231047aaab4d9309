"""The services of one market: the configuration, port and log of each, and whether they are well."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from deploy.broker_config import HOST
from deploy.copies import Copy, copies_of, data_of
from deploy.logs import last_line
from deploy.permissions import GATEWAY, LEDGER, MATCHER
from deploy.plan import MODULES, StackPlan
from deploy.reach import http_get
from deploy.stack_files import (
    MarketAddress,
    StackError,
    ensure_link_key,
    ensure_market_key,
    ensure_tokens,
    free_service_port,
    is_port_free,
    logs_directory,
    write_service_configs,
)
from deploy.supervisor import MARKET_MARK, ServiceChild, Supervisor
from services.bus.config import SQLITE_URL, ServiceConfig

HEALTHY_TIMEOUT_S: Final = 60.0
HEALTH_POLL_S: Final = 0.05
STARTS_MAX: Final = 4


class Wired(NamedTuple):
    """A market's services and where they are reached, by the names that they have within the market."""

    address: MarketAddress
    children: dict[str, ServiceChild]


def wire(plan: StackPlan, data: Path, nats_url: str, *, is_first: bool) -> Wired:
    """Write the configurations of the services of `plan.market` and return their processes, not started yet.

    Of the markets of a data directory the first has files and processes named as its services are; those of any other
    bear its name as well. Raises StackError when a port cannot be had.
    """
    copies = copies_of(plan.services, plan.copies)
    ports: dict[str, int] = {}
    for copy in copies:
        ports[copy.name] = free_service_port([*ports.values()])
    http_ports = {
        copy.name: choose_port(plan.http_port if copy.number == 1 else None, "--http-port")
        for copy in copies
        if copy.service == GATEWAY
    }
    urls = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
    full = {copy.name: copy.name if is_first else f"{copy.name}{MARKET_MARK}{plan.market}" for copy in copies}
    configs = {
        full[copy.name]: _config(plan, data, copy, nats_url, ports[copy.name], http_ports.get(copy.name, 0), urls)
        for copy in copies
    }
    files = write_service_configs(data, configs)
    logs = logs_directory(data)
    children = {
        copy.name: ServiceChild(name, MODULES[copy.service], files[name], logs / f"{name}.log")
        for copy, name in ((copy, full[copy.name]) for copy in copies)
    }
    gateways = [f"http://{HOST}:{port}" for port in http_ports.values()]
    address = MarketAddress(http_url=gateways[0] if gateways else None, more_http_urls=gateways[1:], services=urls)
    return Wired(address, children)


def _config(
    plan: StackPlan, data: Path, copy: Copy, nats_url: str, health_port: int, http_port: int, urls: Mapping[str, str]
) -> ServiceConfig:
    name, market = copy.service, plan.market
    is_gateway = name == GATEWAY
    return ServiceConfig(
        service=name,
        market=market,
        nats_url=nats_url,
        user=name,
        nkey_seed_file=data / "keys" / f"{name}.nk",
        market_key_file=ensure_market_key(data, market) if name in (MATCHER, LEDGER) else None,
        data_dir=data_of(data, copy),
        health_port=health_port,
        http_host=HOST,
        http_port=http_port,
        tokens_file=ensure_tokens(data, plan.publishers) if is_gateway else None,
        link_key_file=ensure_link_key(data, market) if is_gateway else None,
        peers={peer: url for peer, url in urls.items() if peer != copy.name} if is_gateway else {},
        ledger_url=plan.ledger_url if name == LEDGER else SQLITE_URL,
        log_host=plan.log_host,
        witnesses=dict(plan.witnesses) if name == LEDGER and copy.signs else {},
        standby_s=copy.standby_s(plan.copies),
        signs=copy.signs,
        dispatches=copy.dispatches,
    )


async def wait_until_healthy(wired: Wired, supervisor: Supervisor) -> None:
    """Return when every service of a market says that it is well. Raises StackError when one does not get so."""
    deadline = time.monotonic() + HEALTHY_TIMEOUT_S
    waiting = dict(wired.children)
    while waiting:
        name, child = next(iter(waiting.items()))
        finding = await _finding(wired.address.services[name])
        if finding == "":
            del waiting[name]
            continue
        if supervisor.restarts.get(child.name, 0) >= STARTS_MAX or time.monotonic() > deadline:
            log = child.log_file
            raise StackError(f"{child.name} does not get healthy: {finding}; the end of {log} is: {last_line(log)}")
        await asyncio.sleep(HEALTH_POLL_S)


async def _finding(url: str) -> str:
    """Return what is wrong with the service at a base URL, "" when it is healthy."""
    try:
        status, body = await http_get(f"{url}/healthz")
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return f"no answer ({type(error).__name__})"
    return "" if status == 200 else body.decode(errors="replace")[:500]


def choose_port(wanted: int | None, option: str) -> int:
    """Return the wanted port, else one that is free. Raises StackError when it is taken."""
    if wanted is None:
        return free_service_port()
    if not is_port_free(wanted):
        raise StackError(f"port {wanted} on {HOST} cannot be used: stop what uses it or choose another with {option}")
    return wanted
