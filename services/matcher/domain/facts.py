"""What a decision may depend on beside the log: secrets whose commitments are in it, and the pinned time zones."""

from collections.abc import Callable
from typing import Final

import msgspec


class Facts(msgspec.Struct, frozen=True):
    """Secrets of a market. `market_key` (32 bytes) hashes what may not be kept and salts the commitments.

    Who decides an archive again without the secrets says so: then the market's own commitment is believed.
    """

    market_key: bytes
    are_known: bool = True


def _no_file(name: str) -> bytes:
    raise KeyError(f"no time zone {name}")


class ZoneOffsets(msgspec.Struct, frozen=True):
    """Seconds a zone's clock is ahead of UTC: `offsets_s[i]` before `changes_s[i]` (s since 1970), the last after."""

    changes_s: tuple[int, ...]
    offsets_s: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that there is one offset more than there are changes, and that these are in order."""
        assert len(self.offsets_s) == len(self.changes_s) + 1, "an offset before, between and after the changes"
        assert all(one < other for one, other in zip(self.changes_s, self.changes_s[1:], strict=False)), "in order"


UTC: Final = ZoneOffsets((), (0,))


def _only_utc(name: str) -> ZoneOffsets:
    """Return the offsets of UTC, the only zone that needs no database."""
    assert name == "UTC", f"no offsets were handed in for {name}"
    return UTC


class Zones(msgspec.Struct, frozen=True):
    """The time zones known, the version of the database that they are from, and two ways to ask it about one by name.

    Both are pure functions of the database, which is too large to be handed in whole.
    """

    version: str
    names: frozenset[str]
    file: Callable[[str], bytes] = _no_file
    """Returns the compiled rules (TZif, RFC 8536) of a zone; UTC needs none."""
    offsets: Callable[[str], ZoneOffsets] = _only_utc
    """Returns when a zone's offset changes, and to what."""


UTC_ONLY: Final = Zones(version="none", names=frozenset({"UTC"}))
"""For a market that needs no other."""
