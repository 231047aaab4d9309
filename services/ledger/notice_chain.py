"""The chain over archived notices: none can be changed, put in, taken out or moved by whoever lacks the market's key.

A notice is in no leaf of the tree, since it is no input of the market. Instead each row carries its number, counted
from 1, and a MAC under the market's key over itself and the MAC before it:

    mac_n = HMAC-SHA256(key, "groupbuy-notice-v1\\n" | mac_(n-1) | n 8 | columns, each as type 1 | length 4 | text)

with mac_0 of 32 zero bytes. How many there are stands among the ledger's notes, sealed with the same key and written in
one transaction with the rows, so that the end cannot be cut off; and every checkpoint names count and MAC in a line of
its own, so that a chain put back to an older state contradicts whoever holds a later checkpoint.
"""

import base64
import binascii
import hmac
import struct
from typing import Final

import msgspec

from events.counted import counted
from services.ledger.archive import Archive, as_bytes
from services.ledger.checkpoint import Checkpoint
from services.ledger.faults import LedgerBroken
from services.ledger.recorders import Row

NOTICES_META: Final = "notices"
"""Under this name stands how many notices are chained, sealed."""
MAC_BYTES: Final = 32
START: Final = bytes(MAC_BYTES)
LINE: Final = "notices"
"""With this word begins the line of a checkpoint that names the chain."""
_ROW_PREFIX: Final = b"groupbuy-notice-v1\n"
_HEAD_PREFIX: Final = b"groupbuy-notices-v1\n"
_number: Final = struct.Struct(">Q").pack
_field: Final = struct.Struct(">cI").pack
_HEAD_WORDS: Final = 3
_COUNT_MAX_CHARS: Final = 18


class NoticeHead(msgspec.Struct, frozen=True):
    """The end of a chain: how many notices are in it, and the MAC of the last.

    `adopted` of them, the first, were archived by a program that kept no chain, and were taken as they were found.
    """

    count: int = 0
    mac: bytes = START
    adopted: int = 0

    def sealed(self, market_key: bytes) -> str:
        """Return the note that the ledger keeps of it."""
        return f"{self.count} {self.adopted} {self._seal(market_key).hex()}"

    def is_sealed_by(self, market_key: bytes, seal: str) -> bool:
        """Tell whether a seal is the one under that key."""
        return hmac.compare_digest(self._seal(market_key).hex().encode(), seal.encode())

    def line(self) -> str:
        """Return the line with which a checkpoint names it."""
        return f"{LINE} {self.count} {base64.b64encode(self.mac).decode()}"

    def _seal(self, market_key: bytes) -> bytes:
        text = _HEAD_PREFIX + _number(self.count) + _number(self.adopted) + self.mac
        return hmac.digest(market_key, text, "sha256")


def mac_after(market_key: bytes, mac: bytes, number: int, columns: Row) -> bytes:
    """Return the MAC of the notice `number` with these columns, which follows the one with `mac`."""
    return hmac.digest(market_key, b"".join((_ROW_PREFIX, mac, _number(number), *map(_told, columns))), "sha256")


def signed_head(checkpoint: Checkpoint) -> NoticeHead | None:
    """Return the end of the chain that a checkpoint names, None when it names none: an older program signed it."""
    for line in checkpoint.extensions:
        word, _, rest = line.partition(" ")
        count, _, mac = rest.partition(" ")
        if word == LINE and _is_count(count):
            try:
                return NoticeHead(int(count), base64.b64decode(mac, validate=True))
            except (binascii.Error, ValueError):
                return None
    return None


def check_against_notices(archive: Archive, checkpoint: Checkpoint) -> None:
    """Raise LedgerBroken when the notices are not those that the checkpoint names, or more after them."""
    signed = signed_head(checkpoint)
    if signed is None or signed.count == 0:
        return
    rows = archive.query("SELECT mac FROM @notices WHERE no = ?", (signed.count,))
    if not rows:
        notices = counted(signed.count, "notice was", "notices were")
        raise LedgerBroken("the checkpoint", f"{notices} signed, but there is no notice {signed.count}: the end misses")
    if as_bytes(rows[0][0]) != signed.mac:
        notices = counted(signed.count, "notice is not the one that was", "notices are not those that were")
        raise LedgerBroken("the checkpoint", f"the first {notices} signed")


def noted_head(archive: Archive, market_key: bytes) -> NoticeHead | None:
    """Return the end of the chain as the ledger notes it, None when there is no note.

    Raises LedgerBroken when the note, or the last notice, is not what was sealed.
    """
    note = archive.meta(NOTICES_META)
    if note is None:
        return None
    words = note.split(" ")
    if len(words) != _HEAD_WORDS or not all(map(_is_count, words[:2])):
        raise LedgerBroken(f"the note {NOTICES_META!r}", f"{note[:60]!r} does not say how many notices there are")
    count, adopted = int(words[0]), int(words[1])
    rows = archive.query("SELECT mac FROM @notices WHERE no = ?", (count,)) if count else [(START,)]
    if not rows:
        raise LedgerBroken(
            f"notice {count}", f"it is missing, although {counted(count, 'notice is', 'notices are')} noted"
        )
    head = NoticeHead(count, as_bytes(rows[0][0]), adopted)
    if not head.is_sealed_by(market_key, words[2]):
        raise LedgerBroken(
            f"the note {NOTICES_META!r}",
            f"{counted(count, 'notice is', 'notices are')} noted, but the note was not sealed with the market's key "
            "over the last of them",
        )
    return head


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _COUNT_MAX_CHARS


def _told(value: object) -> bytes:
    """Return a value with its type, since a database may hold another than belongs there."""
    if isinstance(value, bytes | memoryview):
        kind, text = b"b", bytes(value)
    elif isinstance(value, str):
        kind, text = b"s", value.encode("utf-8", "surrogatepass")
    elif isinstance(value, int):
        kind, text = b"i", str(value).encode()
    else:
        kind, text = b"?", str(value).encode()
    return _field(kind, len(text)) + text
