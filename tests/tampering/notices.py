"""What somebody may do to archived notices, with the table alone or with stolen keys too."""

import random
from collections.abc import Callable
from typing import Final

from services.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from services.ledger.notice_chain import NoticeHead, mac_after, signed_head
from services.ledger.recorders import NOTICE_COLUMNS
from tests.bench.bench_ledger import MARKET_KEY
from tests.ledger_records import BuiltRecord
from tests.tampering.ledgers import COLUMNS, KEPT_AT, LOG_KEY, Copy, Hands, Row
from tests.tampering.rows import any_row, delete_row, fresh, insert_row, other, shown, update_row

_NUMBER: Final = COLUMNS["notices"].index("no")
_MAC: Final = COLUMNS["notices"].index("mac")


def change_a_notice(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Change any value of a notice."""
    with copy.hands() as hands:
        row = any_row(hands, "notices", chance)
        column = chance.choice(COLUMNS["notices"])
        value = other(row[COLUMNS["notices"].index(column)], chance)
        update_row(hands, "notices", row, column, value)
    return f"{column} of notice {row[_NUMBER]}: {shown(value)}"


def exchange_two_notices(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Let two notices stand in each other's place, with or without the MACs of these places."""
    with copy.hands() as hands:
        one, another = _two(hands, chance)
        with_mac = chance.random() < 0.5
        update_row(hands, "notices", one, "no", None)
        update_row(hands, "notices", another, "no", one[_NUMBER])
        update_row(hands, "notices", one, "no", another[_NUMBER])
        if with_mac:
            update_row(hands, "notices", one, "mac", another[_MAC])
            update_row(hands, "notices", another, "mac", one[_MAC])
    return f"notices {one[_NUMBER]} and {another[_NUMBER]}{', with their MACs' if with_mac else ''}"


def take_out_a_notice(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Delete a notice and move those after it up, so that no number is missing."""
    with copy.hands() as hands:
        row = any_row(hands, "notices", chance)
        delete_row(hands, "notices", row)
        for (number,) in hands.rows("SELECT no FROM @notices WHERE no > ? ORDER BY no", (row[_NUMBER],)):
            hands.change("UPDATE @notices SET no = ? WHERE no = ?", (number - 1, number))
        if chance.random() < 0.5:
            _note_count(hands, _count(hands))
    return f"notice {row[_NUMBER]}"


def put_in_a_notice(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Add a notice that nobody archived: at the end, beside the chain, or before it."""
    with copy.hands() as hands:
        row = list(any_row(hands, "notices", chance))
        row[1] = fresh(row[1], chance)
        end = _count(hands) + 1
        row[_NUMBER] = chance.choice([end, end, None, 0, -chance.randrange(1, 9), end + chance.randrange(1, 9)])
        row[_MAC] = chance.choice([row[_MAC], chance.randbytes(32), None])
        insert_row(hands, "notices", tuple(row))
        if row[_NUMBER] == end and chance.random() < 0.5:
            _note_count(hands, end)
    return f"as number {row[_NUMBER]}"


def cut_the_notices(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Cut notices off at the end, and perhaps change the note of how many there are, or take it away."""
    with copy.hands() as hands:
        left = chance.randrange(_count(hands))
        hands.change("DELETE FROM @notices WHERE no > ?", (left,))
        how = chance.choice(["as it was", "changed", "deleted"])
        if how == "changed":
            _note_count(hands, left)
        if how == "deleted":
            hands.change("DELETE FROM @meta WHERE name = 'notices'")
    return f"after notice {left}, the note {how}"


def cut_the_notices_and_seal(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Cut notices off at the end and seal that with the stolen market key, or put back the note of that time."""
    with copy.hands() as hands:
        left = chance.randrange(_count(hands))
        hands.change("DELETE FROM @notices WHERE no > ?", (left,))
        _seal(hands, left)
    return f"after notice {left}, sealed"


def cut_the_notices_and_sign(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Cut notices off at the end with both keys stolen: sealed, and the checkpoint signed anew."""
    with copy.hands() as hands:
        # What was kept outside covers four fifths.
        left = chance.randrange(int(_count(hands) * (KEPT_AT - 0.05)))
        hands.change("DELETE FROM @notices WHERE no > ?", (left,))
        _sign(hands, _seal(hands, left))
    return f"after notice {left}, sealed and signed"


def rewrite_the_notices(copy: Copy, chance: random.Random, _: list[BuiltRecord]) -> str:
    """Change a notice and all MACs from there on with the stolen market key, and perhaps sign that too."""
    with copy.hands() as hands:
        count = _count(hands)
        at = chance.randrange(1, int(count * (KEPT_AT - 0.05)))
        hands.change("UPDATE @notices SET member = ? WHERE no = ?", (f"somebody-{chance.randrange(10**6)}", at))
        statement = f"SELECT {', '.join(COLUMNS['notices'])} FROM @notices WHERE no >= ? ORDER BY no"
        mac = _mac_at(hands, at - 1)
        for row in hands.rows(statement, (at,)):
            mac = mac_after(MARKET_KEY, mac, row[_NUMBER], row[: len(NOTICE_COLUMNS)])
            update_row(hands, "notices", row, "mac", mac)
        head = _seal(hands, count)
        is_signed = chance.random() < 0.5
        if is_signed:
            _sign(hands, head)
    return f"from notice {at} on{', signed' if is_signed else ''}"


NOTICE_MANIPULATIONS: Final[list[tuple[int, Callable[[Copy, random.Random, list[BuiltRecord]], str]]]] = [
    (6, change_a_notice),
    (3, exchange_two_notices),
    (2, take_out_a_notice),
    (4, put_in_a_notice),
    (4, cut_the_notices),
    (2, cut_the_notices_and_seal),
    (2, cut_the_notices_and_sign),
    (2, rewrite_the_notices),
]
"""With how often each is tried, beside the hundred or so of the others."""


def _two(hands: Hands, chance: random.Random) -> tuple[Row, Row]:
    one = another = any_row(hands, "notices", chance)
    while another == one:
        another = any_row(hands, "notices", chance)
    return one, another


def _count(hands: Hands) -> int:
    count: int = hands.rows("SELECT count(*) FROM @notices WHERE no IS NOT NULL")[0][0]
    return count


def _note_count(hands: Hands, count: int) -> None:
    """Change the count in the note, whose seal cannot be made anew without the key."""
    (note,) = hands.rows("SELECT value FROM @meta WHERE name = 'notices'")[0]
    hands.change("UPDATE @meta SET value = ? WHERE name = 'notices'", (f"{count} {note.partition(' ')[2]}",))


def _mac_at(hands: Hands, number: int) -> bytes:
    return bytes(hands.rows("SELECT mac FROM @notices WHERE no = ?", (number,))[0][0]) if number else NoticeHead().mac


def _seal(hands: Hands, count: int) -> NoticeHead:
    head = NoticeHead(count, _mac_at(hands, count))
    hands.change("UPDATE @meta SET value = ? WHERE name = 'notices'", (head.sealed(MARKET_KEY),))
    return head


def _sign(hands: Hands, head: NoticeHead) -> None:
    (note,) = hands.rows("SELECT value FROM @meta WHERE name = 'checkpoint'")[0]
    known = open_checkpoint(note.encode(), LOG_KEY.verifier)
    assert signed_head(known) is not None, "checkpoints name the notices"
    signed = sign_checkpoint(LOG_KEY, Checkpoint(known.origin, known.size, known.root, (head.line(),)))
    hands.change("UPDATE @meta SET value = ? WHERE name = 'checkpoint'", (signed,))
