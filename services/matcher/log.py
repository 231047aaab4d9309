"""Where the matcher stands in its two logs, and what it says when they do not fit together any more."""

import msgspec

from events.record import GENESIS, Through


class LogBroken(Exception):
    """Intake and journal do not fit together; the message says what is missing and what to do."""


class Standing(msgspec.Struct, kw_only=True):
    """The last committed record and the intake message that it covers.

    `seq` and `hash` are the record's (0 and GENESIS before the first), `intake` the identity of the intake stream.
    """

    seq: int = 0
    hash: str = GENESIS
    intake: str = ""
    through: Through | None = None

    @property
    def through_seq(self) -> int:
        """Return the sequence of the last intake message that is covered, wholly or in part; 0 for none."""
        return 0 if self.through is None else self.through.seq
