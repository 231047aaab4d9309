"""What a decision may depend on beside the log: secrets whose commitments are in it, and the pinned time zones."""

from collections.abc import Callable
from typing import Final

import msgspec


class Facts(msgspec.Struct, frozen=True):
    """Secrets of a market. `market_key` (32 bytes) hashes what may not be kept and salts the commitments."""

    market_key: bytes


def _no_file(name: str) -> bytes:
    raise KeyError(f"no time zone {name}")


class Zones(msgspec.Struct, frozen=True):
    """The time zones known, the version of the database that they are from, and how to read one of its files."""

    version: str
    names: frozenset[str]
    file: Callable[[str], bytes] = _no_file
    """Returns the compiled rules (TZif, RFC 8536) of a zone by its name; UTC needs none."""


UTC_ONLY: Final = Zones(version="none", names=frozenset({"UTC"}))
"""For a market that needs no other."""
