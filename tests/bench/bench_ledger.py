"""How fast the ledger archives: entries a second into SQLite and PostgreSQL, and bytes on disk per byte of record."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from events import decisions as d
from events.record import GENESIS, Entry, Record, Through, encode_entry, encode_record, hash_bytes
from services.ledger.store import LedgerStore
from tests.builders import T0, encode, joined, payment, posted
from tests.ledger_records import BuiltRecord

ENTRIES: Final = 200_000
ENTRIES_PER_RECORD: Final = 2_000
RECORDS_PER_APPEND: Final = 4
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


def run(entries: int = ENTRIES, *, postgres_url: str | None = None) -> dict[str, float]:
    """Measure; without a URL of a database to use, PostgreSQL is started for the purpose."""
    records = list(journal(entries))
    input_bytes = sum(len(record.body) for record in records)
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as temporary:
        directory = Path(temporary)
        with LedgerStore.open("sqlite:", MARKET, data_dir=directory, identity="bench", market_key=MARKET_KEY) as store:
            sqlite_per_s = ingest(store, records)
        per_input_byte = disk_bytes(directory) / input_bytes
        postgres_per_s = _ingest_postgres(records, directory, postgres_url)
    return {
        "ingest_sqlite_per_s": round(sqlite_per_s),
        "ingest_postgres_per_s": round(postgres_per_s),
        "bytes_on_disk_per_input_byte": round(per_input_byte, 3),
    }


def _ingest_postgres(records: list[BuiltRecord], directory: Path, url: str | None) -> float:
    if url is not None:
        with LedgerStore.open(url, MARKET, data_dir=directory, identity="bench", market_key=MARKET_KEY) as store:
            return ingest(store, records)
    from tests.ledger_postgres import postgres_server

    with postgres_server(directory / "postgres") as own_url:
        return _ingest_postgres(records, directory, own_url)
