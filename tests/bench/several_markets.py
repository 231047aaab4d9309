"""Several markets at once: a matcher each, over one broker, on the same cores."""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from deploy.broker import EmbeddedBroker
from deploy.identity import keys_directory
from deploy.permissions import MATCHER
from deploy.stack import StackPlan
from tests.bench.driving import Span, decide_backlog, per_s, stack_over
from tests.bench.loads import Load


async def markets_per_s(load: Load, events: int, markets: int) -> float:
    """Return decided events a second of all markets together, each from a backlog of `events`."""
    names = [f"market-{number}" for number in range(markets)]
    with tempfile.TemporaryDirectory(prefix="bench-markets-") as folder:
        async with EmbeddedBroker(Path(folder) / "broker", names) as broker, AsyncExitStack() as running:
            stacks = []
            for name in names:
                data = Path(folder) / name
                data.mkdir(mode=0o700)
                shutil.copytree(keys_directory(Path(folder) / "broker"), keys_directory(data))
                plan = StackPlan(data=data, market=name, nats_url=broker.url, may_provision=True, services=(MATCHER,))
                stacks.append(await running.enter_async_context(stack_over(plan)))
            gate = asyncio.Barrier(markets)
            spans: list[Span] = await asyncio.gather(
                *(decide_backlog(stack, load, events, gate=gate) for stack in stacks)
            )
    return per_s(spans)
