"""What to run and where: the plan of a stack."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.identity import DEFAULT_PUBLISHERS
from deploy.nodes import Way, straight
from deploy.permissions import GATEWAY, LEDGER, MATCHER, NOTIFIER
from deploy.provision import StreamLimits
from services.bus.config import SQLITE_URL

SERVICES: Final = (MATCHER, LEDGER, NOTIFIER, GATEWAY)
"""In the order in which they are started."""
MODULES: Final = {
    MATCHER: "services.matcher",
    LEDGER: "services.ledger",
    NOTIFIER: "services.notifier",
    GATEWAY: "services.matcher.gateway",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """What to run and where. A port of None takes any that is free.

    With `nats_url` the broker is somebody else's: it is only checked, unless `may_provision` allows to make the
    streams that it lacks. `ledger_url` is the ledger's database, `sqlite:` or a PostgreSQL URL. The ledger signs as
    `log_host`/groupbuy/MARKET and asks the witnesses, verifier key by URL. More than one of `nodes` make a cluster of
    embedded brokers, which keeps every stream `nodes` times (three at most); of each service there are so many
    `copies`.
    """

    data: Path
    market: str = "main"
    nats_port: int | None = None
    http_port: int | None = None
    nats_url: str | None = None
    may_provision: bool = False
    log_host: str = "localhost"
    ledger_url: str = SQLITE_URL
    witnesses: tuple[tuple[str, str], ...] = ()
    publishers: tuple[str, ...] = DEFAULT_PUBLISHERS
    services: tuple[str, ...] = SERVICES
    nodes: int = 1
    copies: int = 1
    limits: StreamLimits = field(default_factory=StreamLimits)
    way: Way = straight
