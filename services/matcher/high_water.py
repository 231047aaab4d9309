"""How far the journal is known to have come: a mark that outlives a kill, so that a shorter journal is noticed.

A snapshot is written now and then; between two of them a journal that lost its end looks like one that never had it,
and a matcher would decide anew what it had decided before. The mark is written in place after each commit and not
synced: a kill cannot lose it, and after a power cut an older one is as good as none.
"""

import logging
import os
import zlib
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from events.undecodable import UNDECODABLE
from services.matcher.log import Standing

MARK_BYTES: Final = 512
_encode: Final = msgspec.json.Encoder().encode
_log: Final = logging.getLogger("groupbuy.matcher.high_water")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The last record known to be in a journal: identity of the stream, sequence and hash, and the intake it covers."""

    journal: str
    seq: int
    hash: str
    through_seq: int


class HighWater:
    """The mark of one market in a folder."""

    def __init__(self, folder: Path, market: str) -> None:
        """Use `folder`, which is made when the mark is first written."""
        self.file = folder / f"{market}.mark"
        self._open: FileIO | None = None

    def note(self, journal: str, standing: Standing) -> None:
        """Write the mark. A disk that does not take it is no reason to stop: the mark only says what is missing."""
        if standing.seq == 0:
            return
        mark = Mark(journal=journal, seq=standing.seq, hash=standing.hash, through_seq=standing.through_seq)
        body = _encode(mark)
        line = b"%08x %s" % (zlib.crc32(body), body)
        assert len(line) < MARK_BYTES, "a mark has its place"
        try:
            if self._open is None:
                self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._open = FileIO(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600), "r+")
            os.pwrite(self._open.fileno(), line.ljust(MARK_BYTES), 0)
        except OSError as error:
            _log.warning("cannot note how far the journal has come: %s", error.strerror or error)

    def read(self) -> Mark | None:
        """Return the mark, None where there is none or it is damaged."""
        try:
            crc, _, body = self.file.read_bytes().strip().partition(b" ")
            if int(crc, 16) == zlib.crc32(body):
                return msgspec.json.decode(body, type=Mark)
        except (OSError, ValueError, *UNDECODABLE):
            pass
        return None

    def set_aside(self) -> None:
        """Keep the mark under another name, so that a journal which ends before it is taken."""
        self.file.rename(self.file.with_suffix(".mark.set-aside"))
