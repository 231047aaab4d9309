"""One seed from its beginning to its checks."""

import asyncio
import gc
import hashlib
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import nats

from deploy.provision import StreamLimits, provision
from events import subjects
from services.bus.client import GroupBuyClient
from tests.builders import encode
from tests.simulation.checks import CHECKS
from tests.simulation.checks.history import History, Violation
from tests.simulation.disks import mend_ledger
from tests.simulation.faults import Losses
from tests.simulation.loop import BEGIN_S, simulated_time
from tests.simulation.nodes import SimulatedNode, sound_disk
from tests.simulation.outside import reachable
from tests.simulation.production import production_in_simulation
from tests.simulation.setting import OPERATOR, SHOPS
from tests.simulation.workload.publishing import Publisher
from tests.simulation.workload.story import Story
from tests.simulation.world import MARKET, PUBLISHERS, URL, World

EVENTS_MAX: Final = 60
OPERATOR_EVENTS_MAX: Final = 15
PAUSES_S: Final = (1.0, 3.0, 10.0, 60.0)
"""Mean times between a publisher's requests: from a rush to a quiet day."""
FAULTS_MAX: Final = 10
LOSSY_EVERY: Final = 8
"""Of so many seeds one lets the broker lose what it had acknowledged."""
HEARTBEAT_S: Final = 3.0
QUIET_S: Final = 120.0
GIVE_UP_S: Final = 1_800.0


class Result(NamedTuple):
    """What came of one seed."""

    seed: int
    violation: str | None
    trace: str
    simulated_s: float
    cpu_s: float
    faults: dict[str, int]
    decided: dict[str, int]
    """Kind of decision -> how many there are."""


def simulate(seed: int) -> Result:
    """Run one seed and check everything."""
    begun_s = time.process_time()
    folder = Path(tempfile.mkdtemp(prefix=f"simulation-{seed}-", dir=_memory_folder()))
    gc.disable()
    try:
        with production_in_simulation(seed):
            world = World(seed, folder)
            with simulated_time(world.loop), reachable(world.outside, random.Random(seed ^ 0xD1CE)):
                violation, decided = _run(world)
    finally:
        # Only now: what killed processes left behind ends here, where it can do nothing any more.
        shutil.rmtree(folder, ignore_errors=True)
        gc.enable()
    digest = hashlib.sha256(world.broker.trace.digest() + repr(violation).encode()).hexdigest()
    return Result(
        seed,
        violation,
        digest,
        world.loop.now_s - BEGIN_S,
        time.process_time() - begun_s,
        world.faults.counts,
        decided,
    )


def _memory_folder() -> str | None:
    shared = Path("/dev/shm")  # a disk in memory: thousands of small databases
    return str(shared) if shared.is_dir() else None


def _run(world: World) -> tuple[str | None, dict[str, int]]:
    loop = world.loop
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_live(world))
        if world.lost is not None and world.alarms():
            # It was noticed, and the one to mend it is the operator: nothing more is promised.
            return None, {}
        history = History(world)
        decided = dict(Counter(told.kind for told in history.decisions))
        for check in CHECKS:
            try:
                check(history)
            except Violation as found:
                return f"{check.__name__}: {found}", decided
        return None, decided
    except (Violation, AssertionError) as found:
        return f"{type(found).__name__}: {found}", {}
    finally:
        asyncio.set_event_loop(None)


async def _live(world: World) -> None:
    """Set up, let publishers and faults loose, heal, and wait until everything is done."""
    world.broker.start()
    await _as_node(world, "set-up", lambda: _set_up(world))
    world.start_services()
    wrecking = world.loop.create_task(_wreck(world))
    beating = world.loop.create_task(_beat(world))
    await _all_done([_publisher(world, name) for name in PUBLISHERS])
    wrecking.cancel()
    world.faults.heal()
    mend_ledger(world)
    if world.seed % LOSSY_EVERY == 0:
        await asyncio.sleep(world.chance.uniform(0.0, 10.0))
        world.lost = Losses(world).strike()
        world.faults.counts["loss"] = 1
        await _publish_more(world)
    else:
        await _all_done([_publisher(world, name, part="peace", is_settling=True) for name in PUBLISHERS])
    await _until_quiet(world)
    beating.cancel()


async def _all_done(publishers: list[SimulatedNode]) -> None:
    for publisher in publishers:
        while not publisher.is_dead:
            await asyncio.sleep(1.0)
        if publisher.error is not None:
            raise AssertionError(f"a publisher failed: {publisher.error!r}") from publisher.error


async def _as_node(world: World, name: str, main: object) -> None:
    node = SimulatedNode(name, world.loop, world.network, sound_disk)
    node.run(main)  # type: ignore[arg-type]
    while not node.is_dead:
        await asyncio.sleep(0.05)
    if node.error is not None:
        raise node.error


async def _set_up(world: World) -> None:
    client = await nats.connect(URL)
    await provision(client, MARKET, PUBLISHERS, StreamLimits())
    jetstream = client.jetstream()
    subject = subjects.intake(MARKET, "operator", "market")
    await jetstream.publish(subject, encode(world.setting.market(), world.loop.now_ns()))
    await client.close()


def _publisher(world: World, name: str, part: str = "", *, is_settling: bool = False) -> SimulatedNode:
    chance = random.Random(f"{world.seed} {name}{part}")
    story = Story(name, chance, world.loop, world.setting, world.town, part)
    pause_s = PAUSES_S[world.seed % len(PAUSES_S)]
    events = chance.randrange(5, OPERATOR_EVENTS_MAX if name == OPERATOR else EVENTS_MAX)
    node = SimulatedNode(name, world.loop, world.network, sound_disk)

    async def main() -> None:
        client = await GroupBuyClient.connect(URL, market=MARKET, publisher=name)
        publisher = Publisher(client, world.http_client(name), story, world.promises)
        if is_settling:
            await publisher.settle()
            return
        if not part and name in SHOPS:
            await publisher.list_offers()
        await publisher.tell(events, pause_s)

    node.run(main)
    return node


async def _wreck(world: World) -> None:
    for _ in range(world.chance.randrange(FAULTS_MAX + 1)):
        await asyncio.sleep(world.chance.expovariate(1 / 8.0))
        world.keep_disk()
        await asyncio.sleep(world.chance.uniform(0.0, 3.0))
        world.faults.strike()


async def _publish_more(world: World) -> None:
    """Have business go on after a loss: what is told now must not contradict what was told before."""
    node = _publisher(world, PUBLISHERS[0], part="more")
    until_s = world.loop.time() + GIVE_UP_S
    while not node.is_dead and world.loop.time() < until_s:
        await asyncio.sleep(1.0)
    node.kill()


async def _beat(world: World) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        world.broker.heartbeat()


async def _until_quiet(world: World) -> None:
    """Wait until everything is decided, archived and told, and stays so; liveness is that this ends."""
    until_s = world.loop.time() + GIVE_UP_S
    quiet_since_s, last = world.loop.time(), None
    while world.loop.time() - quiet_since_s < QUIET_S:
        if world.lost is not None and world.alarms():
            return
        if world.loop.time() > until_s:
            raise Violation(f"liveness: after the faults had ended it still went on or hung: {world.trouble()}")
        await asyncio.sleep(5.0)
        now = {name: stream.last_seq for name, stream in world.broker.store.streams.items()}
        trouble = world.trouble()
        if now != last or trouble:
            quiet_since_s, last = world.loop.time(), now
