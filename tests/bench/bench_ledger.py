"""How fast the ledger archives, decides again, verifies and proves, and how many bytes it takes on disk."""

import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from deploy.replay_part import MODULE
from events import decisions as d
from events.record import GENESIS, Entry, Record, Through, encode_entry, encode_record, hash_bytes
from services.ledger.leaves import LeafMaker
from services.ledger.merkle import verify_inclusion
from services.ledger.note import SigningKey
from services.ledger.replay_check import Elsewhere, replay_check
from services.ledger.replay_part import Place, Source
from services.ledger.store import LedgerStore
from services.ledger.tiles import Edge, TiledTree
from services.ledger.verify import verify
from services.ledger.verify_tree import LogKeys
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from services.matcher.records import RecordBuilder
from services.matcher.zones import pinned_zones
from tests.bench import traffic
from tests.builders import T0, encode, joined, payment, posted
from tests.ledger_records import BuiltRecord

ENTRIES: Final = 200_000
ENTRIES_PER_RECORD: Final = 2_000
RECORDS_PER_APPEND: Final = 4
RECORD_BYTES: Final = 1_400_000
LEAVES: Final = 10_000_000
LEAVES_AT_A_TIME: Final = 256 * 1_024
PROOFS: Final = 200
MARKET: Final = "bench"
MARKET_KEY: Final = bytes(range(32))
MEMBERS: Final = 50_000
GROUP_SIZE: Final = 3


def journal(entries: int, entries_per_record: int = ENTRIES_PER_RECORD) -> Iterator[BuiltRecord]:
    """Yield a journal of paid orders that fill groups of three, about 700 bytes an entry."""
    prev = GENESIS
    for seq, first in enumerate(range(1, entries + 1, entries_per_record), start=1):
        raw = [msgspec.Raw(_entry(at)) for at in range(first, min(entries + 1, first + entries_per_record))]
        last = first + len(raw) - 1
        body = encode_record(
            Record(
                v=1,
                market=MARKET,
                prev=prev,
                intake="intake-of-the-bench",
                rule=1,
                through=Through(seq=last, events=1, at=T0 + last, hash=hash_bytes(b"")),
                entries=raw,
            )
        )
        prev = hash_bytes(body)
        yield BuiltRecord(seq, T0 + last, prev, body)


def _entry(seq: int) -> bytes:
    place = seq % GROUP_SIZE
    group, order, member = f"g{seq - place}-0", f"order-{seq}", f"member-{seq * 7919 % MEMBERS}"
    paid = payment(payment=f"pay-{seq}")
    make = posted if place == 0 else joined
    event = encode(make(order, member, offer=f"offer-{seq % 97}", payment=paid, id=f"event-{seq}"), T0 + seq)
    offer = f"offer-{seq % 97}"
    decisions: list[d.AnyDecision] = [
        d.SeatConfirmed(
            group=group,
            order=order,
            member=member,
            offer=offer,
            payable_minor=8_000,
            currency="CNY",
            payment=f"pay-{seq}",
            publisher="shop-a",
        )
    ]
    if place == 0:
        opened = d.GroupOpened(
            group=group, offer=offer, edition=1, order=order, member=member, deadline=T0 + seq + 86_400_000_000_000
        )
        decisions.insert(0, opened)
    if place == GROUP_SIZE - 1:
        seats = [
            d.SeatRef(
                order=f"order-{at}", member=f"member-{at * 7919 % MEMBERS}", publisher="shop-a", price_minor=8_000
            )
            for at in range(seq - place, seq + 1)
        ]
        decisions.append(d.GroupFilled(group=group, offer=offer, cause="target", size=GROUP_SIZE, seats=seats))
    return encode_entry(
        Entry(
            seq=seq,
            index=0,
            part=0,
            at=T0 + seq,
            publisher="shop-a",
            event=msgspec.Raw(event),
            decisions=decisions,
        )
    )


def ingest(store: LedgerStore, records: list[BuiltRecord]) -> float:
    """Archive records a few at a time, as a ledger does that lags a little, and return entries a second."""
    entries, begun_s = 0, time.perf_counter()
    for first in range(0, len(records), RECORDS_PER_APPEND):
        entries += store.append(records[first : first + RECORDS_PER_APPEND])
    return entries / (time.perf_counter() - begun_s)


def disk_bytes(directory: Path) -> int:
    """Return the size of all files under a directory, as allocated."""
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())


def run(entries: int = ENTRIES, *, postgres_url: str | None = None, leaves: int = LEAVES) -> dict[str, float]:
    """Measure; without a URL of a database to use, PostgreSQL is started for the purpose."""
    records = list(journal(entries))
    input_bytes = sum(len(record.body) for record in records)
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as temporary:
        directory = Path(temporary)
        with LedgerStore.open("sqlite:", MARKET, data_dir=directory, identity="bench", market_key=MARKET_KEY) as store:
            sqlite_per_s = ingest(store, records)
        per_input_byte = disk_bytes(directory) / input_bytes
        with LedgerStore.open("sqlite:", MARKET, data_dir=directory, read_only=True) as store:
            verify_per_s = _verify(store)
        postgres_per_s = _ingest_postgres(records, directory, postgres_url)
    return {
        "ingest_sqlite_per_s": round(sqlite_per_s),
        "ingest_postgres_per_s": round(postgres_per_s),
        "replay_check_per_s": round(_replay_check(entries)),
        "proof_ms_at_10m": round(proof_ms(leaves), 3),
        "verify_per_s": round(verify_per_s),
        "bytes_on_disk_per_input_byte": round(per_input_byte, 3),
    }


def _verify(store: LedgerStore) -> float:
    """Return how many entries a second are verified."""
    begun_s = time.perf_counter()
    report = verify(store, keys=LogKeys(LeafMaker(MARKET_KEY), SigningKey("bench/groupbuy/bench", bytes(32)).verifier))
    assert report.fault is None, report.fault
    return report.entries / (time.perf_counter() - begun_s)


def decided(entries: int) -> Iterator[BuiltRecord]:
    """Yield the records of paid orders under all the rules, as the engine decides them."""
    engine, builder = Engine(MARKET, Facts(MARKET_KEY), pinned_zones()), RecordBuilder(MARKET, "intake", GENESIS)
    told = [("operator", "market", traffic.configuration())]
    told += [(traffic.PUBLISHER, "offer", body) for body in traffic.offers()]
    told += [(traffic.PUBLISHER, "order", body) for body in traffic.orders(entries - len(told))]
    begun_ns, number = time.time_ns(), 0
    for seq, (publisher, family, body) in enumerate(told, start=1):
        message = Message(seq, begun_ns + 1_000 * seq, publisher, family, body)
        builder.add(engine.decide(message), message, 1, 1)
        while builder.size_bytes > RECORD_BYTES or (seq == len(told) and not builder.is_empty):
            number, ready = number + 1, builder.cut()
            yield BuiltRecord(number, message.at, ready.hash, ready.body)


def _replay_check(entries: int) -> float:
    """Return how many entries a second are decided again and compared, as the command does it."""
    records = list(decided(entries))
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as temporary:
        directory = Path(temporary)
        with LedgerStore.open("sqlite:", MARKET, data_dir=directory, identity="bench", market_key=MARKET_KEY) as store:
            ingest(store, records)
        del records
        with LedgerStore.open("sqlite:", MARKET, data_dir=directory, read_only=True) as store:
            elsewhere = Elsewhere(Place("sqlite:", MARKET, str(directory)), MODULE)
            begun_s = time.perf_counter()
            report = replay_check(store, Source(Facts(MARKET_KEY), pinned_zones()), elsewhere=elsewhere)
            assert report.is_same, report
            return report.entries / (time.perf_counter() - begun_s)


def proof_ms(leaves: int) -> float:
    """Return how many ms a proof of inclusion takes in a tree of so many leaves, from the database to the verifier."""
    edge, took_s = Edge(), list[float]()
    with (
        tempfile.TemporaryDirectory(prefix="bench-tree-") as temporary,
        LedgerStore.open("sqlite:", MARKET, data_dir=Path(temporary), identity="bench") as store,
    ):
        for first in range(0, leaves, LEAVES_AT_A_TIME):
            end = min(leaves, first + LEAVES_AT_A_TIME)
            edge, tiles = edge.grown([hash_at(leaf) for leaf in range(first, end)])
            store.tiles.put(tiles)
        root, chance = edge.root(), random.Random(1)
        for leaf in (chance.randrange(leaves) for _ in range(PROOFS)):
            begun_s = time.perf_counter()
            proof = TiledTree(store.tiles, leaves).inclusion_proof(leaf)
            took_s.append(time.perf_counter() - begun_s)
            verify_inclusion(leaf, leaves, hash_at(leaf), proof, root)
    return 1_000 * statistics.median(took_s)


def hash_at(leaf: int) -> bytes:
    """Return a hash to stand for a leaf's."""
    return hashlib.sha256(leaf.to_bytes(8, "big")).digest()


def _ingest_postgres(records: list[BuiltRecord], directory: Path, url: str | None) -> float:
    if url is not None:
        with LedgerStore.open(url, MARKET, data_dir=directory, identity="bench", market_key=MARKET_KEY) as store:
            return ingest(store, records)
    from tests.ledger_postgres import postgres_server

    with postgres_server(directory / "postgres") as own_url:
        return _ingest_postgres(records, directory, own_url)
