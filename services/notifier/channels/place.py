"""The place that a message names: where it is meant to stand, and what of which record it is; pure.

`Groupbuy-Place: <stream> <sequence> <record> <ordinal> <of> <hash>`, for example
`groupbuy-main-results 4711 812 3 120 9f86d0...`: message 4711 of the stream is the third of 120 that come from record
812 of the journal, whose hash that is. Ordinals count from 1; 0 of 0 tells the position alone.
"""

import re
from collections.abc import Mapping
from typing import Final

from services.bus.journal import JournalPosition
from services.notifier.channels import Reached

HEADER_PLACE: Final = "Groupbuy-Place"
_PLACE: Final = re.compile(
    r"(?P<stream>[A-Za-z0-9_-]{1,255}) (?P<seq>\d{1,20}) (?P<record>\d{1,20}) (?P<ordinal>\d{1,9}) (?P<of>\d{1,9})"
    r" (?P<hash>[0-9a-f]{64})",
    re.ASCII,
).fullmatch


def place_header(stream: str, seq: int, record_seq: int, ordinal: int, of: int, record_hash: str) -> str:
    """Return the value of the header of message `seq` of `stream`."""
    return f"{stream} {seq} {record_seq} {ordinal} {of} {record_hash}"


def reached_with(headers: Mapping[str, str] | None, stream: str, seq: int) -> Reached | None:
    """Return how far `stream` has come with its message `seq`.

    None for a stray: it names no place, or not the one where it stands.
    """
    found = _PLACE((headers or {}).get(HEADER_PLACE, ""))
    if found is None or found["stream"] != stream or int(found["seq"]) != seq:
        return None
    return Reached(JournalPosition(int(found["record"]), found["hash"]), int(found["ordinal"]), int(found["of"]))
