"""What a decision may depend on beside the log: secrets whose commitments are in it, and the pinned time zones."""

from typing import Final

import msgspec


class Facts(msgspec.Struct, frozen=True):
    """Secrets of a market. `market_key` (32 bytes) hashes what may not be kept and salts the commitments."""

    market_key: bytes


class Zones(msgspec.Struct, frozen=True):
    """The time zones known, and the version of the database that they are from."""

    version: str
    names: frozenset[str]


UTC_ONLY: Final = Zones(version="none", names=frozenset({"UTC"}))
"""For a market that needs no other."""
