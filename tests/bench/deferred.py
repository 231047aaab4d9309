"""`python -m tests.bench.deferred DIR COUNT write|again`: how much memory a process takes for what waits on disk."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

from services.bus.journal import JournalPosition
from services.notifier.dispatch.routing import Route, waiting_row
from services.notifier.dispatch.rows import Busy
from services.notifier.dispatch.store import Store
from services.notifier.policy.judge import ChannelRules, MarketRules, judge
from services.notifier.policy.purposes import Kind, Purpose
from services.notifier.policy.quiet import parse_quiet_hours
from services.notifier.zones import zone_of
from tests.dispatch_setting import notice
from tests.journal_writer import MARKET

CHUNK: Final = 1_000
ROUTE: Final = Route(channel="email", purposes=frozenset({Purpose.RESULT}), address_kind="email")
NEVER: Final = MarketRules(zone="UTC", quiet=parse_quiet_hours("00:00-23:59"))


async def main(folder: Path, count: int, again: bool) -> None:
    """Have the outbox take in and put off `count` notices, or only find them again; print memory and how many wait."""
    store = Store(folder, MARKET)
    now_ns = time.time_ns() // (86_400 * 10**9) * (86_400 * 10**9) + 10**12
    if not again:
        for first in range(0, count, CHUNK):
            rows = [
                waiting_row(
                    notice(
                        f"m-{at}", Kind.FILLED, f"{at}.0.0/1", at_ns=now_ns, useful_until_ns=now_ns + 7 * 86_400 * 10**9
                    ),
                    ROUTE,
                    now_ns,
                )
                for at in range(first, first + CHUNK)
            ]
            await store.do(
                lambda rows=rows, first=first: store.outbox.take_in(JournalPosition(first + 1, "0" * 64), rows)
            )
    parcels = 1
    while parcels or not again:
        claim = await store.do(
            lambda: store.outbox.claim(
                "email",
                now_ns,
                64,
                Busy(),
                lambda row, choices: judge(row.notice, choices, NEVER, ChannelRules(kind="email"), zone_of, now_ns),
                lambda member: f"{member}@example.com",
            )
        )
        parcels = len(claim.parcels)
        facts = await store.do(lambda: store.outbox.facts_after(0, 1_000))
        if not facts:
            break
        last = facts[-1][0]
        await store.do(lambda last=last: store.outbox.forget_facts(last))
    waiting = await store.do(store.outbox.waiting)
    print(json.dumps({"mib": _resident_mib(), "waiting": sum(waiting.values())}))
    await store.close()


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1_024
    return 0.0


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "again"))
