"""Two matchers of one market: one decides, the other stands by, and who takes over when is for the fence to say."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.broker import EmbeddedBroker
from deploy.ports import free_port
from tests.builders import JsonEvent, market, offer, offer_changed, posted
from tests.integration.matcher_process import MarketLog, MatcherProcess, decided_alone

SHOP = "shop-a"
STANDBY_S = 0.3
OTHER_RULES = """
from services.matcher.domain import configuring
listing = configuring._listing
configuring._listing = lambda offer, edition, stock: listing(offer, edition=edition + 1, stock=stock)
"""


class Setting:
    """A market's logs, and as many matchers as a test wants."""

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        self.broker = broker
        self.log = MarketLog(broker)
        self._folder = folder
        self._processes: list[MatcherProcess] = []

    def matcher(self, name: str, **settings: Any) -> MatcherProcess:
        process = MatcherProcess(self.broker, self._folder / name, free_port(), **{"standby_s": STANDBY_S, **settings})
        self._processes.append(process)
        return process

    async def configure(self) -> int:
        await self.log.publish("operator", market(publishers={SHOP: ["offer", "order", "refund"]}))
        return await self.log.publish(SHOP, offer(size=2, hold_s=0))

    async def close(self) -> None:
        for process in self._processes:
            await process.stop()
        await self.log.close()


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Setting]:
    made = Setting(fresh_broker, tmp_path)
    yield made
    await made.close()


def orders(count: int) -> list[JsonEvent]:
    return [posted(lead="if_needed") for _ in range(count)]


async def test_a_matcher_that_is_killed_is_followed_by_the_one_that_stood_by(setting: Setting) -> None:
    one, other = setting.matcher("one", standby_s=0.0), setting.matcher("other")
    await setting.configure()
    await one.start()
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(10)))
    await other.start()
    await other.says("standing by")
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(5)))
    assert "5 entries decided again, all of them the same" in await other.says("5 entries decided again")
    await one.kill()
    last = await setting.log.publish(SHOP, orders(20))
    await setting.log.decided_until(last)
    assert "deciding" in other.log() and "dropping the state" not in other.log()
    assert await setting.log.entries() == decided_alone(await setting.log.messages())


async def test_a_matcher_that_stands_by_leaves_a_matcher_at_work_alone(setting: Setting) -> None:
    one, other = setting.matcher("one", standby_s=0.0), setting.matcher("other")
    await setting.configure()
    await one.start()
    await other.start()
    await other.says("standing by")
    last = 0
    for _ in range(20):
        last = await setting.log.publish(SHOP, orders(3))
        await asyncio.sleep(0.05)
    await setting.log.decided_until(last)
    assert "standing by" in await other.says("standing by")
    assert "another matcher's hand" not in one.log()


async def test_a_matcher_that_was_stopped_and_comes_back_changes_nothing(setting: Setting) -> None:
    one, other = setting.matcher("one", standby_s=0.0), setting.matcher("other")
    await setting.configure()
    await one.start()
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(10)))
    await other.start()
    await other.says("standing by")
    one.signal(signal.SIGSTOP)
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(10)))
    one.signal(signal.SIGCONT)
    last = 0
    for _ in range(10):
        last = await setting.log.publish(SHOP, orders(5))
        await asyncio.sleep(0.02)
    await setting.log.decided_until(last)
    assert await setting.log.entries() == decided_alone(await setting.log.messages())


async def test_when_all_stand_by_one_of_them_begins(setting: Setting) -> None:
    matchers = [setting.matcher(f"m{number}") for number in range(3)]
    last = await setting.configure()
    for matcher in matchers:
        await matcher.start()
    await setting.log.decided_until(last)
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(30)))
    assert await setting.log.entries() == decided_alone(await setting.log.messages())


async def test_a_deadline_passes_although_the_matcher_that_would_knock_is_dead(setting: Setting) -> None:
    one, other = setting.matcher("one", standby_s=0.0), setting.matcher("other")
    await setting.configure()
    await setting.log.publish(SHOP, offer("brief", size=2, hold_s=0, group_ttl_s=2))
    await one.start()
    last = await setting.log.publish(SHOP, posted(offer="brief"))
    await setting.log.decided_until(last)
    await other.start()
    await other.says("standing by")
    await one.kill()
    entries = await setting.log.decided_until(last + 1)
    assert "GroupExpired" in {type(decision).__name__ for entry in entries for decision in entry.decisions}


async def test_a_new_version_decides_the_history_again_and_takes_over_when_the_old_one_is_stopped(
    setting: Setting,
) -> None:
    old = setting.matcher("old", standby_s=0.0)
    await setting.configure()
    await old.start()
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(50)))
    new = setting.matcher("new", rehearsed=True)
    await new.start()
    sentence = await new.says("standing by after record")
    compared = re.search(r"(\d+) entries decided again, all of them the same", sentence)
    assert compared is not None and int(compared[1]) == len(await setting.log.entries())
    await old.stop()
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(10)))
    assert await setting.log.entries() == decided_alone(await setting.log.messages())


async def test_a_version_that_would_have_decided_otherwise_never_takes_over(setting: Setting) -> None:
    old = setting.matcher("old", standby_s=0.0)
    await setting.configure()
    await old.start()
    changed = await setting.log.publish(SHOP, offer_changed(size=3))
    await setting.log.decided_until(await setting.log.publish(SHOP, orders(5)))
    new = setting.matcher("new", rehearsed=True, changes=OTHER_RULES)
    await new.start()
    sentence = await new.unhealthy_because("it does not take over")
    assert f"decides entry {changed}.0.0 of record" in sentence
    await old.stop()
    before = len(await setting.log.records())
    await setting.log.publish(SHOP, orders(5))
    await asyncio.sleep(5 * STANDBY_S)
    assert len(await setting.log.records()) == before, "nobody decides by rules that were not checked"
    await old.start()
    await setting.log.decided_until((await setting.log.messages())[-1].seq)
