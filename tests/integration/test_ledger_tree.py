"""The tree beside the archive, in SQLite and in PostgreSQL: kept with every record, built when missing, and checked."""

import random
import secrets
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from events.leaf import leaf
from events.record import decode_entry_bytes, decode_record
from services.ledger.application import LedgerApplication
from services.ledger.archived_leaves import leaves_between
from services.ledger.checkpoint import Checkpoint, open_checkpoint, origin_of, sign_checkpoint
from services.ledger.checkpointing import Checkpointer, make_checkpoint, resume_checkpoint
from services.ledger.faults import LedgerBroken, LedgerError, NotFound
from services.ledger.leaves import LeafMaker
from services.ledger.log_http import read_wanted
from services.ledger.merkle import EMPTY_ROOT, leaf_hash, root, verify_inclusion
from services.ledger.note import SigningKey
from services.ledger.prove import prove_entry
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.tiles import MemoryTiles, Tile, TiledTree, TileRequest, TileStore, decode_bundle
from services.ledger.tree import has_tree
from services.ledger.verify import VerifyReport, verify
from services.ledger.verify_tree import LogKeys
from tests.ledger_market import decided_records
from tests.ledger_postgres import postgres_server
from tests.ledger_records import MARKET, BuiltRecord, changed, open_store

KEY: Final = bytes(range(32))
SIGNER: Final = SigningKey(origin_of("localhost", MARKET), bytes(range(1, 33)))
MAKER: Final = LeafMaker(KEY)
KEYS: Final = LogKeys(MAKER, SIGNER.verifier)
RECORDS: Final = decided_records(31, 700)


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the module; each test makes its own database in it."""
    with postgres_server(tmp_path_factory.mktemp("pg") / "data") as url:
        yield url


class Ledger:
    """One ledger of the tests' journal, opened and closed as often as a test likes."""

    def __init__(self, data: Path, url: str) -> None:
        self.data = data
        self.url = url

    @contextmanager
    def opened(self, market_key: bytes | None = KEY, *, read_only: bool = False) -> Iterator[LedgerStore]:
        """Open it, by default as its writer."""
        with open_store(self.data, self.url, market_key=market_key, read_only=read_only) as store:
            yield store

    def filled(self, records: tuple[BuiltRecord, ...] = RECORDS, market_key: bytes | None = KEY) -> "Ledger":
        """Archive records, a few at a time."""
        rng = random.Random(5)
        with self.opened(market_key) as store:
            todo = list(records)
            while todo:
                count = rng.randint(1, 20)
                store.append(todo[:count])
                todo = todo[count:]
        return self

    def signed(self) -> "Ledger":
        """Sign what is there."""
        with self.opened() as store:
            make_checkpoint(store, SIGNER)
        return self

    def tamper(self, statement: str, *rows: tuple[object, ...]) -> None:
        """Change something behind the ledger's back, once for each of `rows`."""
        application = LedgerApplication.open(self.url, MARKET, ledger_file(self.data, MARKET), read_only=False)
        for parameters in rows:
            application.recorder_in_use.execute(statement, parameters)
        application.close()

    def verified(self) -> VerifyReport:
        """Verify it with its keys."""
        with self.opened(None, read_only=True) as store:
            return verify(store, keys=KEYS)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """An empty ledger in either database."""
    if request.param == "sqlite":
        return Ledger(tmp_path, "sqlite:")
    url, name = request.getfixturevalue("postgres_url"), f"tree_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return Ledger(tmp_path, url.replace("/postgres?", f"/{name}?"))


@pytest.fixture(scope="module")
def leaves() -> list[bytes]:
    """The leaves of the records, from the definition."""
    return _leaves(RECORDS)


def _leaves(records: tuple[BuiltRecord, ...]) -> list[bytes]:
    decoded = [decode_record(record.body) for record in records]
    return [leaf(KEY, decode_entry_bytes(raw), record.rule) for record in decoded for raw in record.entries]


def _tiles(store: LedgerStore) -> list[tuple[int, int, bytes]]:
    rows = store.query("SELECT level, tile, body FROM @tiles ORDER BY level, tile")
    return [(int(level), int(tile), bytes(body)) for level, tile, body in rows]


# One suite for every place where tiles are kept


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def tiles(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TileStore]:
    """An empty store of tiles."""
    if request.param == "memory":
        yield MemoryTiles()
        return
    url = "sqlite:" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with Ledger(tmp_path, url).opened(None) as store:
        store._application.recorder_in_use.execute("DELETE FROM @tiles WHERE level >= ?", (0,))
        yield store.tiles


def test_a_tile_that_was_never_kept_is_not_there(tiles: TileStore) -> None:
    assert tiles.get(Tile(0, 0)) is None
    assert tiles.get(Tile(63, 2**55)) is None


def test_a_tile_is_found_as_it_was_kept(tiles: TileStore) -> None:
    kept = {Tile(level, index): bytes([level, index % 251]) * 4_096 for level in range(3) for index in (0, 1, 2**40)}
    tiles.put(kept)
    assert {tile: tiles.get(tile) for tile in kept} == kept
    assert tiles.get(Tile(3, 0)) is None


def test_a_tile_that_is_kept_again_takes_the_place_of_the_one_before(tiles: TileStore) -> None:
    tiles.put({Tile(0, 0): b"a" * 32, Tile(0, 1): b"b" * 32})
    tiles.put({Tile(0, 0): b"c" * 64, Tile(1, 0): b"d" * 32})
    assert [tiles.get(Tile(*name)) for name in ((0, 0), (0, 1), (1, 0))] == [b"c" * 64, b"b" * 32, b"d" * 32]


def test_keeping_nothing_changes_nothing(tiles: TileStore) -> None:
    tiles.put({Tile(0, 0): b"a" * 32})
    tiles.put({})
    assert tiles.get(Tile(0, 0)) == b"a" * 32


# Leaves


def test_leaves_are_those_of_the_definition(leaves: list[bytes]) -> None:
    assert [each for record in RECORDS for each in MAKER.leaves_of(record.seq, record.body)] == leaves
    assert len(leaves) > 3 * 256


def test_a_record_that_is_none_has_no_leaves() -> None:
    with pytest.raises(LedgerBroken, match="record 7"):
        MAKER.leaves_of(7, b'{"rule":1,"entries":[{"seq":1}]}')


# Growing with the archive


def test_the_tree_grows_with_the_archive_over_the_leaves_of_its_entries(ledger: Ledger, leaves: list[bytes]) -> None:
    with ledger.filled().opened(None, read_only=True) as store:
        assert store.tiles.size() == len(leaves) == store.entries_archived()
        assert TiledTree(store.tiles, len(leaves)).root() == root([leaf_hash(each) for each in leaves])


def test_a_record_that_is_refused_leaves_the_tree_as_it_was(ledger: Ledger) -> None:
    ledger.filled(RECORDS[:50])
    with ledger.opened() as store:
        before = _tiles(store)
        with pytest.raises(LedgerBroken):
            store.append([RECORDS[50], RECORDS[52]])
        assert _tiles(store) == before
        assert store.append(RECORDS[50:]) > 0
    assert ledger.signed().verified().is_sound


def test_records_that_come_again_add_no_leaves(ledger: Ledger) -> None:
    with ledger.filled(RECORDS[:60]).opened() as store:
        before = _tiles(store)
        assert store.append(RECORDS[:60]) == 0
        assert _tiles(store) == before


def test_another_writer_is_noticed_and_the_tree_stays_whole(ledger: Ledger) -> None:
    with ledger.filled(RECORDS[:40]).opened() as one, ledger.opened() as other:
        one.append(RECORDS[40:60])
        other.append(RECORDS[40:80])
        one.append(RECORDS[60:])
    assert ledger.signed().verified().is_sound


def test_an_archive_of_an_older_program_gets_its_tree_when_it_is_opened(ledger: Ledger) -> None:
    with ledger.filled(market_key=None).opened(None, read_only=True) as store:
        assert not has_tree(store)
        assert verify(store, keys=KEYS).tree is None
    with ledger.opened() as store:
        lag = store.tree_lag
        assert lag == store.entries_archived()
        while missing := store.build_tree():
            assert missing < lag
            lag = missing
        make_checkpoint(store, SIGNER)
    assert ledger.verified().is_sound


def test_a_reader_sees_that_an_older_program_made_no_table_for_tiles(ledger: Ledger) -> None:
    ledger.filled(RECORDS[:20], market_key=None).tamper("DROP TABLE @tiles", ())
    with ledger.opened(None, read_only=True) as store:
        assert not has_tree(store)
        report = verify(store, keys=KEYS)
    assert report.is_sound and report.tree is None


def test_a_build_that_was_cut_short_goes_on_where_it_ended(
    ledger: Ledger, leaves: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.tree.BUILD_STEP_LEAVES", 100)
    ledger.filled(market_key=None)
    for _ in range(4):
        with ledger.opened() as store:
            store.build_tree()
    with ledger.opened() as store:
        assert 400 <= store.tiles.size() < len(leaves)
        with pytest.raises(AssertionError):
            store.append([BuiltRecord(10**6, 0, "", b"")])
        while store.build_tree():
            pass
        make_checkpoint(store, SIGNER)
    assert ledger.verified().is_sound


def test_tiles_that_were_deleted_come_back_equal(ledger: Ledger) -> None:
    with ledger.filled().signed().opened(None, read_only=True) as store:
        before = _tiles(store)
    ledger.tamper("DELETE FROM @tiles WHERE level >= ?", (0,))
    with ledger.opened() as store:
        while store.build_tree():
            pass
        assert _tiles(store) == before
    assert ledger.verified().is_sound


def test_writing_takes_the_key_that_the_tree_began_with(ledger: Ledger) -> None:
    ledger.filled(RECORDS[:5])
    with pytest.raises(LedgerError, match="another market key"), ledger.opened(bytes(32)):
        pass
    with pytest.raises(LedgerError, match="takes the market's key"), ledger.opened(None):
        pass


# Signing


def test_signing_goes_on_from_the_last_checkpoint(ledger: Ledger) -> None:
    with ledger.filled(RECORDS[:30]).opened() as store:
        assert resume_checkpoint(store, SIGNER) is None
        made = make_checkpoint(store, SIGNER)
        assert open_checkpoint(made.note.encode(), SIGNER.verifier).root == store.tree.edge.root()  # type: ignore[union-attr]
    with ledger.opened() as store:
        assert resume_checkpoint(store, SIGNER) == made
        store.append(RECORDS)
        resumed = Checkpointer(SIGNER, _nobody)
        resumed.resume(store)
        assert resumed.is_due(store)
        resumed.make(store)
        assert resumed.latest is not None and resumed.latest.checkpoint.size == store.entries_archived()
        assert not resumed.is_due(store)


async def _nobody(note: bytes) -> None:
    """Nobody listens."""


def test_nothing_is_signed_over_a_tree_that_contradicts_what_was_signed(ledger: Ledger) -> None:
    ledger.filled().signed()
    ledger.tamper("UPDATE @tiles SET body = ? WHERE level = 0 AND tile = 0", (bytes(8_192),))
    ledger.tamper("UPDATE @tiles SET body = ? WHERE level = 1 AND tile = 0", (bytes(32 * 9),))
    with ledger.opened() as store, pytest.raises(LedgerBroken, match="another root than was signed"):
        resume_checkpoint(store, SIGNER)


def test_nothing_is_signed_over_a_tree_that_is_shorter_than_what_was_signed(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.filled().signed().opened(None, read_only=True) as store:
        note = store.checkpoint() or ""
    shorter = Ledger(tmp_path / "restored", "sqlite:").filled(RECORDS[:100])
    with shorter.opened() as store:
        store.save_checkpoint(note)
        with pytest.raises(LedgerBroken, match="its end is missing"):
            resume_checkpoint(store, SIGNER)


def test_nothing_is_signed_with_another_key(ledger: Ledger) -> None:
    with ledger.filled(RECORDS[:5]).signed().opened() as store, pytest.raises(LedgerBroken, match="the checkpoint"):
        resume_checkpoint(store, SigningKey(SIGNER.name, bytes(32)))


# Proving


def test_every_entry_can_be_proved(ledger: Ledger, leaves: list[bytes]) -> None:
    with ledger.filled().signed().opened(None, read_only=True) as store:
        number = 0
        for record in RECORDS:
            for raw in decode_record(record.body).entries:
                entry = decode_entry_bytes(raw)
                if number % 29 == 0 or number == len(leaves) - 1:
                    proof = prove_entry(store, (entry.seq, entry.index, entry.part), MAKER, SIGNER.verifier)
                    assert (proof.leaf_index, proof.tree_size) == (number, len(leaves))
                    assert b64decode(proof.leaf) == leaves[number]
                    verify_inclusion(
                        number,
                        proof.tree_size,
                        leaf_hash(leaves[number]),
                        list(map(b64decode, proof.proof)),
                        open_checkpoint(proof.checkpoint.encode(), SIGNER.verifier).root,
                    )
                number += 1


def test_an_entry_that_is_not_there_or_not_signed_yet_cannot_be_proved(ledger: Ledger) -> None:
    with ledger.filled(RECORDS[:30]).opened() as store:
        first = decode_entry_bytes(decode_record(RECORDS[0].body).entries[0])
        position = first.seq, first.index, first.part
        with pytest.raises(NotFound, match="nothing has been signed"):
            prove_entry(store, position, MAKER, SIGNER.verifier)
        make_checkpoint(store, SIGNER)
        store.append(RECORDS)
        prove_entry(store, position, MAKER, SIGNER.verifier)
        last = decode_entry_bytes(decode_record(RECORDS[-1].body).entries[-1])
        with pytest.raises(NotFound, match="try again in a second"):
            prove_entry(store, (last.seq, last.index, last.part), MAKER, SIGNER.verifier)
        for nowhere in ((0, 0, 0), (10**9, 0, 0), (position[0], 0, 999)):
            with pytest.raises(NotFound, match="no entry"):
                prove_entry(store, nowhere, MAKER, SIGNER.verifier)


def test_tiles_and_bundles_are_read_as_they_are_shown(ledger: Ledger, leaves: list[bytes]) -> None:
    with ledger.filled().opened() as store:
        hashes = [leaf_hash(each) for each in leaves]
        assert read_wanted(store, TileRequest(Tile(0, 1), 256, False)) == b"".join(hashes[256:512])
        assert read_wanted(store, TileRequest(Tile(0, 1), 3, False)) == b"".join(hashes[256:259])
        assert read_wanted(store, TileRequest(Tile(1, 0), 2, False)) == root(hashes[:256]) + root(hashes[256:512])
        assert decode_bundle(read_wanted(store, TileRequest(Tile(0, 2), 256, True))) == leaves[512:768]
        assert decode_bundle(read_wanted(store, TileRequest(Tile(0, 0), 7, True))) == leaves[:7]
        assert leaves_between(store, MAKER, 0, len(leaves)) == leaves
        with pytest.raises(LedgerBroken, match="no record"):
            leaves_between(store, MAKER, len(leaves), len(leaves) + 1)
    ledger.tamper("UPDATE @events SET state = ? WHERE originator_version = ?", (RECORDS[1].body, RECORDS[0].seq))
    with ledger.opened() as store, pytest.raises(LedgerError):
        read_wanted(store, TileRequest(Tile(0, 0), 256, True))


# What somebody may do to the tree behind the ledger's back

TAMPERING: Final[dict[str, tuple[str, tuple[object, ...], str]]] = {
    "a hash of a leaf": ("UPDATE @tiles SET body = ? WHERE level = 0 AND tile = 1", (bytes(8_192),), "tile 0/1"),
    "a hash above": ("UPDATE @tiles SET body = ? WHERE level = 1 AND tile = 0", (bytes(320),), "tile 1/0"),
    "a tile gone": ("DELETE FROM @tiles WHERE level = ? AND tile = 1", (0,), "tile 0/1"),
    "all tiles gone": ("DELETE FROM @tiles WHERE level >= ?", (0,), "tile 0/0"),
    "a tile cut": ("UPDATE @tiles SET body = ? WHERE level = 0 AND tile = 0", (b"",), "tile 0/0"),
    "a tile too many": ("INSERT INTO @tiles (level, tile, body) VALUES (2, 0, ?)", (bytes(32),), "level 2 of the tree"),
    "a tile too far": ("INSERT INTO @tiles (level, tile, body) VALUES (0, 99, ?)", (bytes(32),), "level 0 of the tree"),
    "a tile of a negative level": (
        "INSERT INTO @tiles (level, tile, body) VALUES (-1, 0, ?)",
        (b"",),
        "level -1 of the tree",
    ),
    "a checkpoint cut": (
        "UPDATE @meta SET value = substr(value, ?, 60) WHERE name = 'checkpoint'",
        (1,),
        "the checkpoint",
    ),
    "the checkpoint of another tree": (
        "UPDATE @meta SET value = ? WHERE name = 'checkpoint'",
        (sign_checkpoint(SIGNER, Checkpoint(SIGNER.name, 300, bytes(32))),),
        "the checkpoint",
    ),
    "the checkpoint of another key": (
        "UPDATE @meta SET value = ? WHERE name = 'checkpoint'",
        (sign_checkpoint(SigningKey(SIGNER.name, bytes(32)), Checkpoint(SIGNER.name, 0, EMPTY_ROOT)),),
        "the checkpoint",
    ),
    "a checkpoint of more than there is": (
        "UPDATE @meta SET value = ? WHERE name = 'checkpoint'",
        (sign_checkpoint(SIGNER, Checkpoint(SIGNER.name, 10**6, bytes(32))),),
        "the checkpoint",
    ),
    "the key's note": ("DELETE FROM @meta WHERE name = ?", ("market_key",), "the market key"),
    "which key it notes": ("UPDATE @meta SET value = ? WHERE name = 'market_key'", ("0" * 64,), "the market key"),
}


def test_an_untouched_tree_is_sound(ledger: Ledger, leaves: list[bytes]) -> None:
    report = ledger.filled().signed().verified()
    assert report.fault is None and report.tree is not None
    assert (report.tree.leaves, report.tree.signed_leaves) == (len(leaves), len(leaves))
    assert b64decode(report.tree.root) == root([leaf_hash(each) for each in leaves])


def test_every_change_of_tree_and_checkpoint_is_found_with_its_place(ledger: Ledger) -> None:
    ledger.filled().signed()
    with ledger.opened(None, read_only=True) as store:
        saved, meta = _tiles(store), store.query("SELECT name, value FROM @meta")
    for statement, parameters, place in TAMPERING.values():
        ledger.tamper(statement, parameters)
        fault = ledger.verified().fault
        assert fault is not None and fault.place == place, (statement, fault)
        ledger.tamper("DELETE FROM @meta WHERE name <> ?", ("",))
        ledger.tamper("DELETE FROM @tiles WHERE level > ?", (-9,))
        ledger.tamper("INSERT INTO @tiles (level, tile, body) VALUES (?, ?, ?)", *saved)
        ledger.tamper("INSERT INTO @meta (name, value) VALUES (?, ?)", *meta)
    assert ledger.verified().is_sound


def test_a_record_that_was_changed_with_its_chain_is_found_in_the_tree(ledger: Ledger) -> None:
    """Whoever can write the database can make a consistent archive; the tree over it is another one."""
    ledger.filled(RECORDS[:-1])
    with ledger.opened() as store:
        store.append([RECORDS[-1]])
        make_checkpoint(store, SIGNER)
        last = store.entries_archived() - 1
    forged = changed(RECORDS[-1], rule=2)
    ledger.tamper("UPDATE @events SET state = ? WHERE originator_version = ?", (forged.body, forged.seq))
    ledger.tamper("UPDATE @records SET hash = ? WHERE record = ?", (bytes.fromhex(forged.hash), forged.seq))
    fault = ledger.verified().fault
    assert fault is not None and fault.place.startswith(f"tile 0/{last // 256}")
    assert f"(record {forged.seq})" in fault.sentence
