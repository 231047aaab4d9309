"""What somebody may do to a ledger's tables who has all of them, the program, and in the worst case the keys.

Each takes raw hands, chance, and what it may know of the ledger, and says what it did.
"""

import json
import random
from collections.abc import Callable
from typing import Final

from events.record import hash_bytes
from services.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from services.ledger.checkpointing import make_checkpoint
from services.ledger.note import SigningKey
from services.ledger.store import LedgerStore
from tests.bench.bench_ledger import MARKET, MARKET_KEY
from tests.ledger_records import BuiltRecord
from tests.tampering.ledgers import COLUMNS, IDENTITY, KEYS, LOG_KEY, RECORDS_PER_APPEND, Copy, archive
from tests.tampering.notices import NOTICE_MANIPULATIONS
from tests.tampering.rows import any_row, delete_row, flipped, fresh, insert_row, other, raw_bytes, shown, update_row

Manipulation = Callable[[Copy, random.Random, list[BuiltRecord]], str]
THIEF: Final = SigningKey(LOG_KEY.name, bytes(range(7, 39)))
"""A key of the same name that is not the log's."""


def change_a_value(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Change any value that a query returns."""
    with copy.hands() as hands:
        table = chance.choice(list(COLUMNS))
        row = any_row(hands, table, chance)
        column = chance.choice(COLUMNS[table])
        value = row[COLUMNS[table].index(column)]
        another = other(value, chance)
        update_row(hands, table, row, column, another)
    return f"{table}.{column}: {shown(value)} -> {shown(another)}"


def flip_a_bit(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Flip one bit in a record, a tile, a notice, what is tracked, or a checkpoint."""
    table, column = chance.choice(
        [
            ("events", "state"),
            ("tiles", "body"),
            ("tracking", "notification_id"),
            ("meta", "value"),
            ("pages", "body"),
            ("notices", "body"),
        ]
    )
    with copy.hands() as hands:
        row = any_row(hands, table, chance)
        if table == "meta":
            (row,) = hands.rows("SELECT name, value FROM @meta WHERE name = 'checkpoint'")
        value = row[COLUMNS[table].index(column)]
        bit = chance.randrange(60 if isinstance(value, int) else 8 * len(raw_bytes(value)))
        update_row(hands, table, row, column, flipped(value, bit))
    return f"bit {bit} of {table}.{column} of {shown(row[0])}"


def delete_rows(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Delete one row of a table, or several."""
    with copy.hands() as hands:
        table = chance.choice(list(COLUMNS))
        count = chance.choice([1, 1, 1, 2, 5])
        for _each in range(count):
            if hands.rows(f"SELECT 1 FROM @{table} LIMIT 1"):
                delete_row(hands, table, any_row(hands, table, chance))
    return f"{count} rows of {table}"


def delete_a_record_everywhere(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Delete a record from the archive and from its index."""
    record = chance.choice(records)
    with copy.hands() as hands:
        hands.change("DELETE FROM @events WHERE originator_version = ?", (record.seq,))
        hands.change("DELETE FROM @records WHERE record = ?", (record.seq,))
    return f"record {record.seq}"


def reorder(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Exchange what stands in two rows: records, summaries, tiles, pages, notices."""
    table, column = chance.choice(
        [("events", "state"), ("tiles", "body"), ("pages", "body"), ("records", "hash"), ("notices", "body")]
    )
    with copy.hands() as hands:
        one = any_row(hands, table, chance)
        another = one
        while another == one:
            another = any_row(hands, table, chance)
        place = COLUMNS[table].index(column)
        update_row(hands, table, one, column, another[place])
        update_row(hands, table, another, column, one[place])
    return f"{table}.{column} of {shown(one[0])} and {shown(another[0])}"


def reorder_records(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Exchange two records with all that the index says of them."""
    one, another = chance.sample(records, 2)
    with copy.hands() as hands:
        for table, key in (("events", "originator_version"), ("records", "record")):
            for place, moved in ((one.seq, -1), (another.seq, one.seq), (-1, another.seq)):
                hands.change(f"UPDATE @{table} SET {key} = ? WHERE {key} = ?", (moved, place))
    return f"records {one.seq} and {another.seq}"


def cut_the_end(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Take the last records away, from the archive alone or also from index and tracking; the tree stays."""
    first = chance.choice(records[1:]).seq
    is_thorough = chance.random() < 0.7
    with copy.hands() as hands:
        hands.change("DELETE FROM @events WHERE originator_version >= ?", (first,))
        if is_thorough:
            hands.change("DELETE FROM @records WHERE record >= ?", (first,))
            hands.change("UPDATE @tracking SET notification_id = ? WHERE notification_id > 1", (first - 1,))
    return f"from record {first} on{', index and tracking too' if is_thorough else ''}"


def cut_the_end_and_sign(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Archive only the beginning, with everything that belongs to it, and sign it with the stolen key."""
    # What was kept outside covers four fifths: a shorter ledger contradicts it.
    last = chance.randrange(1, int(len(records) * 0.75))
    _archive_anew(copy, records[:last], LOG_KEY)
    return f"after record {records[last - 1].seq}, signed with the log's own key"


def cut_the_end_and_the_checkpoint(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Archive only the beginning, and leave no checkpoint."""
    last = chance.randrange(1, len(records))
    _archive_anew(copy, records[:last], None)
    return f"after record {records[last - 1].seq}, unsigned"


def insert(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Insert a row that was never written: a copy of another with a name of its own."""
    with copy.hands() as hands:
        table = chance.choice(list(COLUMNS))
        row = list(any_row(hands, table, chance))
        for key in KEYS[table]:
            place = COLUMNS[table].index(key)
            row[place] = fresh(row[place], chance)
        insert_row(hands, table, tuple(row))
    return f"into {table}: {shown(row[0])}"


def append_a_record(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Put another record at the end that follows the chain, with its summary, but without tree and index."""
    last = records[-1]
    made = _follower(last, chance)
    with copy.hands() as hands:
        row = list(hands.rows("SELECT originator_id, originator_version, topic, state FROM @events LIMIT 1")[0])
        insert_row(hands, "events", (row[0], made.seq, row[2], made.body))
        if chance.random() < 0.7:
            columns = ", ".join(COLUMNS["records"])
            summary = list(hands.rows(f"SELECT {columns} FROM @records WHERE record = ?", (last.seq,))[0])
            summary[0], summary[1] = made.seq, bytes.fromhex(made.hash)
            insert_row(hands, "records", tuple(summary))
            hands.change("UPDATE @tracking SET notification_id = ? WHERE notification_id = ?", (made.seq, last.seq))
    return f"record {made.seq}"


def fork(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Write another history from some record on, with everything that belongs to it, signed with the stolen key."""
    at = chance.randrange(0, int(len(records) * 0.75))
    forked = _forged(records, at, chance)
    _archive_anew(copy, forked, LOG_KEY)
    return f"from record {records[at].seq} on, signed with the log's own key"


def fork_unsigned(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Write another history from some record on; the checkpoint stays that of the old one."""
    at = chance.randrange(0, len(records))
    with copy.hands() as hands:
        (note,) = hands.rows("SELECT value FROM @meta WHERE name = 'checkpoint'")[0]
    _archive_anew(copy, _forged(records, at, chance), None)
    with copy.hands() as hands:
        hands.change("INSERT INTO @meta (name, value) VALUES ('checkpoint', ?)", (note,))
    return f"from record {records[at].seq} on, under the old checkpoint"


def swap_the_signature(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Sign the checkpoint with another key of the same name."""
    with copy.hands() as hands:
        (note,) = hands.rows("SELECT value FROM @meta WHERE name = 'checkpoint'")[0]
        known = open_checkpoint(note.encode(), LOG_KEY.verifier)
        size = known.size if chance.random() < 0.5 else chance.randrange(1, known.size)
        root = known.root if size == known.size else chance.randbytes(32)
        signed = sign_checkpoint(THIEF, Checkpoint(known.origin, size, root))
        hands.change("UPDATE @meta SET value = ? WHERE name = 'checkpoint'", (signed,))
    return f"{size} leaves, signed with another key"


def swap_the_market_key(copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Make all leaves anew with another market key, signed with the stolen key of the log."""
    _archive_anew(copy, records, LOG_KEY, chance.randbytes(32))
    return "leaves made with another market key"


MANIPULATIONS: Final[list[tuple[int, Manipulation]]] = [
    (30, change_a_value),
    (20, flip_a_bit),
    (12, delete_rows),
    (4, delete_a_record_everywhere),
    (8, reorder),
    (4, reorder_records),
    (4, cut_the_end),
    (2, cut_the_end_and_sign),
    (2, cut_the_end_and_the_checkpoint),
    (8, insert),
    (3, append_a_record),
    (2, fork),
    (2, fork_unsigned),
    (2, swap_the_signature),
    (1, swap_the_market_key),
    *NOTICE_MANIPULATIONS,
]
"""With how often each is tried, out of a hundred or so."""


# Histories


def _archive_anew(
    copy: Copy, records: list[BuiltRecord], key: SigningKey | None, market_key: bytes = MARKET_KEY
) -> None:
    """Put a ledger of these records in the place of the one that is there."""
    with copy.hands() as hands:
        for table in COLUMNS:
            hands.change(f"DELETE FROM @{table}")
    with LedgerStore.open(copy.url, MARKET, data_dir=copy.folder, identity=IDENTITY, market_key=market_key) as store:
        archive(store, records, 10 * RECORDS_PER_APPEND)
        if key is not None:
            make_checkpoint(store, key)


def _forged(records: list[BuiltRecord], at: int, chance: random.Random) -> list[BuiltRecord]:
    """Return a journal that is another from record `at` on, each record naming the one before."""
    forged = records[:at]
    for number, record in enumerate(records[at:]):
        document = json.loads(record.body)
        if forged:
            document["prev"] = forged[-1].hash
        if number == 0:
            entry = chance.choice(document["entries"])
            entry["decisions"][-1]["offer"] = f"offer-{chance.randrange(10**6)}"
        body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        forged.append(BuiltRecord(record.seq, record.at_ns, hash_bytes(body), body))
    return forged


def _follower(last: BuiltRecord, chance: random.Random) -> BuiltRecord:
    """Return a record that could follow the last one."""
    document = json.loads(last.body)
    entry = document["entries"][-1]
    entry["seq"] += 1
    entry["at"] += chance.randrange(1, 1_000)
    document |= {"prev": last.hash, "entries": [entry]}
    document["through"] |= {"seq": entry["seq"], "at": entry["at"]}
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return BuiltRecord(last.seq + 1, last.at_ns, hash_bytes(body), body)
