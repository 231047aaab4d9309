"""What detection is told about one assist, and what it keeps of it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.matcher.domain.plays.hashed import key_of
from services.matcher.domain.standing.packed import KEY_BYTES, Key

__all__ = ["UNKNOWN_MARK", "Helping", "key_of", "mark_of"]

UNKNOWN_MARK: Final = bytes(KEY_BYTES)
"""Stands for a device or network that was not given."""


class Helping(msgspec.Struct, gc=False):
    """One assist as detection sees it. What is not known is None, and nothing follows from it."""

    play: str
    place: int
    """Among the play's assists, from 0."""
    helper: Key
    beneficiary: str
    number: int
    """Of what is watched, the help for one member in one play; 0 before the first assist."""
    name: str | None
    """In a play that is everybody's, the play and whom it helps."""
    now_ns: int
    past: Sequence[bytes] = ()
    """What is remembered of the helper."""
    device: str | None = None
    """Hash of the device, in hexadecimal digits."""
    network: str | None = None
    """Hash of the network, in hexadecimal digits."""
    account_age_days: int | None = None
    was_notified: bool | None = None
    """Whether a notice, an invitation or a share by somebody in the play reached the helper."""
    was_spread: bool = False
    """Whether it was a share by somebody who had helped the play."""


def mark_of(hashed: str) -> Key:
    """Return the key of a device or network: 48 bits of what is a hash already, made with a salt that nobody knows."""
    return bytes.fromhex(hashed[: 2 * KEY_BYTES])
