"""The log as others see it: checkpoints on their subject and over HTTP, tiles, bundles, before and after restarts."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from events import subjects
from services.ledger.checkpoint import open_checkpoint, origin_of
from services.ledger.merkle import leaf_hash, root, verify_consistency, verify_inclusion
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.tiles import Tile, TiledTree, TileRequest, decode_bundle, tile_path, width_of
from tests.conftest import MARKET, Connect
from tests.journal_writer import JournalWriter
from tests.log_setting import ENTRIES_PER_RECORD, WAIT_S, Log, get_url, until


class HttpTiles:
    """Tiles as a follower gets them, who knows nothing but the address and a checkpoint."""

    def __init__(self, base: str, size: int) -> None:
        self._base = base
        self._size = size

    def get(self, tile: Tile) -> bytes | None:
        """Fetch a tile as wide as the checkpoint says that it is."""
        status, body = get_url(f"{self._base}/tile/{tile_path(TileRequest(tile, width_of(tile, self._size), False))}")
        return body if status == 200 else None


@pytest.fixture
async def log(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Log:
    matcher = await connect(fresh_broker, "matcher")
    return Log(fresh_broker, JournalWriter(matcher.client), tmp_path / "data")


async def test_whoever_follows_gets_checkpoints_tiles_and_entries_that_fit_together(log: Log, connect: Connect) -> None:
    await log.write(14)
    listener = await connect(log.broker, "notifier")
    heard = await listener.client.subscribe(subjects.checkpoint(MARKET))
    await listener.client.flush()
    async with log.running():
        first = await log.checkpoint(14 * ENTRIES_PER_RECORD)
        assert first.origin == origin_of("log.example.com", MARKET)
        await log.write(2)
        second = await log.checkpoint(16 * ENTRIES_PER_RECORD)
        told = [open_checkpoint((await heard.next_msg(timeout=WAIT_S)).data, log.key) for _ in range(2)]
        assert first in told or second in told

        tiles = HttpTiles(f"http://127.0.0.1:{log.port}/ledger/{MARKET}", second.size)
        tree = TiledTree(tiles, second.size)
        assert await asyncio.to_thread(tree.root) == second.root
        growth = await asyncio.to_thread(tree.consistency_proof, first.size)
        verify_consistency(first.size, second.size, growth, first.root, second.root)
        leaves = await _leaves(log, second.size)
        place = await asyncio.to_thread(tree.inclusion_proof, 300)
        verify_inclusion(300, second.size, leaf_hash(leaves[300]), place, second.root)
        assert root([leaf_hash(each) for each in leaves]) == second.root
    assert leaves == log.leaves


async def _leaves(log: Log, size: int) -> list[bytes]:
    """Fetch every entry bundle."""
    leaves: list[bytes] = []
    for index in range((size + 255) // 256):
        request = TileRequest(Tile(0, index), width_of(Tile(0, index), size), is_bundle=True)
        status, body = await log.get(f"/ledger/{MARKET}/tile/{tile_path(request)}")
        assert status == 200, body
        leaves += decode_bundle(body)
    return leaves


async def test_what_is_not_there_is_not_found(log: Log) -> None:
    async with log.running():
        assert (await log.get(f"/ledger/{MARKET}/checkpoint"))[0] == 404
        assert (await log.get(f"/ledger/{MARKET}/tile/0/000.p/1"))[0] == 404
        await log.write(6)
        await log.checkpoint(300)
        for path in (
            "other/checkpoint",
            f"{MARKET}/tile/0/001",
            f"{MARKET}/tile/0/001.p/45",
            f"{MARKET}/tile/0/002.p/1",
            f"{MARKET}/tile/1/000",
            f"{MARKET}/tile/2/000.p/1",
            f"{MARKET}/tile/entries/001",
            f"{MARKET}/tile/0/1",
            f"{MARKET}/tile/0/000.p/0",
            f"{MARKET}/tile/..%2f..%2fcheckpoint",
            f"{MARKET}/tile/",
            "other/tile/0/000",
        ):
            status, body = await log.get(f"/ledger/{path}")
            assert (status, b"Traceback" in body) == (404, False), path
        for path in ("0/000", "0/000.p/9", "0/001.p/44", "1/000.p/1", "entries/000", "entries/001.p/44"):
            assert (await log.get(f"/ledger/{MARKET}/tile/{path}"))[0] == 200, path


async def test_what_is_archived_when_the_ledger_ends_is_signed_and_served_when_it_begins_again(log: Log) -> None:
    async with log.running() as archiver:
        await log.write(4)

        async def archived() -> bool | None:
            return True if archiver.tip is not None and archiver.tip.entries == 200 else None

        await until(archived, "everything archived")
    with LedgerStore.open("sqlite:", MARKET, data_dir=log.data, read_only=True) as store:
        last = open_checkpoint((store.checkpoint() or "").encode(), log.key)
    assert (last.size, last.root) == (200, root([leaf_hash(each) for each in log.leaves]))
    key = log.key
    async with log.running():
        assert await log.checkpoint() == last
        assert log.key == key


async def test_an_archive_of_an_older_program_gets_its_tree_when_the_ledger_begins(log: Log) -> None:
    await log.write(12)
    async with log.running():
        signed = await log.checkpoint(600)
    _forget_the_tree(log.data)
    async with log.running():
        await log.write(1)
        again = await log.checkpoint(650)
        tiles = HttpTiles(f"http://127.0.0.1:{log.port}/ledger/{MARKET}", again.size)
        tree = TiledTree(tiles, again.size)
        proof = await asyncio.to_thread(tree.consistency_proof, 600)
        verify_consistency(600, again.size, proof, signed.root, again.root)


def _forget_the_tree(data: Path) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        file.execute("DROP TABLE ledger_tiles")
        file.execute("DELETE FROM ledger_meta WHERE name IN ('market_key', 'checkpoint')")


@pytest.mark.parametrize("change", ["log_host", "market_key", "tiles"])
async def test_what_contradicts_what_was_signed_stops_the_ledger_with_a_sentence(log: Log, change: str) -> None:
    await log.write(3)
    async with log.running():
        await log.checkpoint(150)
    if change == "log_host":
        log.log_host = "other.example.com"
    elif change == "market_key":
        (log.data / "keys" / f"market-{MARKET}.key").write_text(bytes(32).hex())
    else:
        with sqlite3.connect(ledger_file(log.data, MARKET)) as file:
            file.execute("UPDATE ledger_tiles SET body = zeroblob(4800) WHERE level = 0")
    sentence = {"log_host": "other.example.com", "market_key": "another market key", "tiles": "another root"}[change]
    async with log.running() as archiver:

        async def stopped() -> str | None:
            return archiver.alarm

        assert sentence in await until(stopped, "an alarm")
        status, body = await log.get("/healthz")
        assert status == 503 and sentence.encode() in body
        assert (await log.get(f"/ledger/{MARKET}/checkpoint"))[0] == 404
