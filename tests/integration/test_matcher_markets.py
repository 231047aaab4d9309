"""Many markets over many matchers: each market is decided once, and what is added restarts nothing else."""

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import PROVISIONER
from deploy.provision import provision
from deploy.stack_files import free_service_port
from events import subjects
from events.record import decode_entry, decode_record
from tests.builders import JsonEvent, encode_batch, family_of, market, offer, posted
from tests.integration.matcher_process import KEY, ROOT

SHOP = "shop-a"
PATIENCE_S = 30.0


class Host:
    """A process that serves the markets of a folder."""

    def __init__(self, broker: EmbeddedBroker, folder: Path, first_market: str) -> None:
        self.folder = folder
        self.markets = folder / "markets"
        self.markets.mkdir(parents=True)
        (folder / "market.key").write_text(KEY.hex())
        self.health_port = free_service_port()
        self._config = folder / "matcher.json"
        self._config.write_text(
            json.dumps(
                {
                    "service": "matcher",
                    "market": first_market,
                    "nats_url": broker.url,
                    "user": "matcher",
                    "nkey_seed_file": str(load_identity(broker.directory.parent, "matcher").seed_file),
                    "data_dir": str(folder / "data"),
                    "health_port": self.health_port,
                    "markets_dir": str(self.markets),
                }
            )
        )
        self.process: asyncio.subprocess.Process | None = None

    def serve(self, name: str, standby_s: float) -> None:
        part = self.markets / f"{name}.part"
        part.write_text(json.dumps({"market_key_file": str(self.folder / "market.key"), "standby_s": standby_s}))
        part.replace(self.markets / f"{name}.json")

    async def start(self) -> None:
        with (self.folder / "matcher.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.matcher",
                str(self._config),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def stop(self, *, kill: bool = False) -> None:
        if self.process is not None and self.runs:
            (self.process.kill if kill else self.process.terminate)()
            await self.process.wait()

    async def asked(self, path: str) -> str:
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(self._get, path)
            except OSError:
                assert time.monotonic() < until_s, (self.folder / "matcher.log").read_text()[-2_000:]
                await asyncio.sleep(0.05)

    async def leads(self) -> set[str]:
        lines = (await self.asked("metrics")).splitlines()
        return {
            line.split('"')[1] for line in lines if line.startswith("groupbuy_matcher_leads{") and line[-3:] == "1.0"
        }

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/{path}", timeout=2) as answer:
            return str(answer.read().decode())


class Town:
    """One broker, several markets, several hosts."""

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        self.broker = broker
        self._folder = folder
        self.hosts: list[Host] = []

    def host(self, first_market: str) -> Host:
        made = Host(self.broker, self._folder / f"host-{len(self.hosts)}", first_market)
        self.hosts.append(made)
        return made

    async def client(self, user: str) -> Client:
        return await nats.connect(self.broker.url, **self.broker.connect_options(user))

    async def open_market(self, name: str) -> None:
        """Make a market's streams and configure it."""
        provisioner = await self.client(PROVISIONER)
        await provision(provisioner, name, ["local", SHOP])
        await provisioner.close()
        await self.publish(name, "operator", [market(publishers={SHOP: ["offer", "order"]})])
        await self.publish(name, SHOP, [offer(size=2, hold_s=0)])

    async def publish(self, name: str, publisher: str, events: list[JsonEvent]) -> None:
        client = await self.client(publisher)
        subject = subjects.intake(name, publisher, family_of(events[0]))
        await client.jetstream().publish(subject, encode_batch(events))
        await client.close()

    async def decided(self, name: str) -> list[str]:
        """Wait until all of a market's intake is decided; return the kinds of all outcomes."""
        client = await self.client(PROVISIONER)
        jetstream = client.jetstream()
        until_s = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < until_s:
                end = (await jetstream.stream_info(subjects.intake_stream(name))).state.last_seq
                last = (await jetstream.stream_info(subjects.journal_stream(name))).state.last_seq
                stored = [await jetstream.get_msg(subjects.journal_stream(name), seq=s + 1) for s in range(last)]
                records = [decode_record(found.data or b"") for found in stored]
                if records and records[-1].through.seq >= end:
                    entries = [decode_entry(raw) for record in records for raw in record.entries]
                    assert all(record.market == name for record in records)
                    return [type(entry.decisions[0]).__name__ for entry in entries if entry.publisher is not None]
                await asyncio.sleep(0.05)
        finally:
            await client.close()
        raise AssertionError(f"market {name} is not decided")

    async def leader_of(self, name: str) -> Host:
        """Wait until exactly one host says that it leads a market."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            leaders = [host for host in self.hosts if host.runs and name in await host.leads()]
            if len(leaders) == 1:
                return leaders[0]
            await asyncio.sleep(0.05)
        raise AssertionError(f"market {name} has not one leader")


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with EmbeddedBroker(tmp_path / "data", ["north", "south"], publishers=["local", SHOP]) as broker:
        made = Town(broker, tmp_path)
        yield made
        for host in made.hosts:
            await host.stop()


async def test_three_markets_over_two_matchers_and_none_restarts_when_one_is_added(town: Town) -> None:
    one, other = town.host("north"), town.host("south")
    for name, home in (("north", one), ("south", other)):
        await town.open_market(name)
        for host in town.hosts:
            host.serve(name, 0.2 if host is home else 1.5)
    await one.start()
    await other.start()
    for name in ("north", "south"):
        await town.decided(name)
        await town.leader_of(name)

    await town.broker.reload(markets=["east"])
    await town.open_market("east")
    for host in town.hosts:
        host.serve("east", 0.2 if host is one else 1.5)
    assert len(await town.decided("east")) == 2
    for name in ("north", "south", "east"):
        await town.publish(name, SHOP, [posted(lead="if_needed") for _ in range(4)])
        assert len(await town.decided(name)) == 6
    assert one.runs and other.runs
    assert "3 markets are served" in await one.asked("healthz")

    third = town.host("north")
    for name in ("north", "south", "east"):
        third.serve(name, 0.5)
    await third.start()
    await third.asked("healthz")
    await one.stop(kill=True)
    for name in ("north", "south", "east"):
        await town.publish(name, SHOP, [posted(lead="if_needed") for _ in range(4)])
        assert len(await town.decided(name)) == 10
    assert other.runs and third.runs


async def test_a_market_that_is_taken_away_ends_and_the_others_go_on(town: Town) -> None:
    host = town.host("north")
    for name in ("north", "south"):
        await town.open_market(name)
        host.serve(name, 0.0)
    await host.start()
    await town.decided("north")
    await town.decided("south")
    (host.markets / "south.json").unlink()
    while "1 market is served" not in await host.asked("healthz"):
        await asyncio.sleep(0.05)
    await town.publish("north", SHOP, [posted(lead="if_needed")])
    assert len(await town.decided("north")) == 3


async def test_a_file_that_cannot_be_used_is_named_and_harms_no_other_market(town: Town) -> None:
    host = town.host("north")
    await town.open_market("north")
    host.serve("north", 0.0)
    (host.markets / "west.json").write_text('{"market_key": "?"}')
    await host.start()
    await town.decided("north")
    told = json.loads(await host.asked("healthz"))
    assert told["status"] == "degraded"
    assert "west.json is not usable" in told["checks"]["markets"]["sentence"]
