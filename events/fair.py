"""How cuts and draws are made, so that anyone can make them again: seeds, numbers without bias, lists.

All of it is HMAC-SHA256 and SHA-256 over ASCII lines joined by a line feed, without one at the end; ARCHITECTURE.md,
"Fair by proof", says it in prose. Nothing here knows a play: what is drawn for what is said where it is drawn.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

_SECRET_LABEL: Final = b"groupbuy-secret-v1"
_COMMITMENT_LABEL: Final = b"groupbuy-secret-commitment-v1"
_SEED_LABEL: Final = "groupbuy-seed-v1"
_CUT_LABEL: Final = "groupbuy-cut-v1"
_DRAW_LABEL: Final = "groupbuy-draw-v1"
_LIST_LABEL: Final = "groupbuy-list-v1"
_SPAN: Final = 1 << 64

EMPTY_LIST: Final = hashlib.sha256(_LIST_LABEL.encode()).digest()
"""The digest of a list of participants before the first."""


def secret_of(market_key: bytes) -> bytes:
    """Return the market's 32-byte secret behind all seeds: HMAC-SHA256 of a label under the market's key.

    One of its own, so that it could be shown one day without showing what the commitments are salted with.
    """
    return hmac.digest(market_key, _SECRET_LABEL, "sha256")


def secret_commitment(secret: bytes) -> str:
    """Return what `market.configured` publishes of the secret: SHA-256 over a label and the secret."""
    return hashlib.sha256(_COMMITMENT_LABEL + b"\n" + secret).hexdigest()


def seed_of(secret: bytes, market: str, kind: str, name: str, seq: int, index: int) -> bytes:
    """Return the 32-byte seed of the play or group `name` (`kind` says which) that event (`seq`, `index`) opened.

    The position makes the seed of a name that is used again another one.
    """
    return hmac.digest(secret, f"{_SEED_LABEL}\n{market}\n{kind}\n{name}\n{seq}.{index}".encode(), "sha256")


def seed_commitment(seed: bytes) -> str:
    """Return SHA-256 of a seed, in hexadecimal."""
    return hashlib.sha256(seed).hexdigest()


def uniform(seed: bytes, text: str, below: int) -> int:
    """Return a number from 0 to `below` - 1 (at most 2^63), each equally likely, that `seed` and `text` determine.

    The first 8 bytes, big-endian, of HMAC-SHA256(seed, text LF attempt), for attempt 0, 1, ... until the number lies
    below the greatest multiple of `below` that 64 bits hold; its remainder is the result. Without that rejection
    the small numbers would come more often.
    """
    assert 0 < below <= _SPAN >> 1, f"a number below {below}"
    limit = _SPAN - _SPAN % below
    attempt = 0
    while True:
        number = int.from_bytes(hmac.digest(seed, f"{text}\n{attempt}".encode(), "sha256")[:8], "big")
        if number < limit:
            return number % below
        attempt += 1


def cut_minor(
    seed: bytes, position: int, helper: str, *, remaining_minor: int, helpers_left: int, share_percent: int, weight: int
) -> int:
    """Return what the helper at `position` cuts off a price of which `remaining_minor` can still be cut.

    `helpers_left` counts this helper. The last takes all; the others 1 to `share_percent` of the remainder, times
    their `weight`, and always leave one minor unit for each helper after them.
    """
    assert remaining_minor >= helpers_left >= 1, "a unit for everybody"
    if helpers_left == 1:
        return remaining_minor
    most = remaining_minor - (helpers_left - 1)
    bound = max(1, min(most, remaining_minor * share_percent // 100))
    drawn = 1 + uniform(seed, f"{_CUT_LABEL}\n{position}\n{helper}", bound)
    return min(most, drawn * weight)


def extend_list(digest: bytes, *words: str | int) -> bytes:
    """Return the digest of a list of participants after the line `words` was added: SHA-256(digest | line)."""
    return hashlib.sha256(digest + " ".join(map(str, words)).encode()).digest()


def draw_number(seed: bytes, list_sha256: str, draw: int, below: int) -> int:
    """Return the number, from 0 to `below` - 1, of draw `draw` (from 1) over the list with that digest."""
    return uniform(seed, f"{_DRAW_LABEL}\n{list_sha256}\n{draw}", below)


def draw_seats(seed: bytes, orders: Sequence[str], winners: int) -> frozenset[str]:
    """Return which orders of a filled group win: `winners` of them, each set equally likely.

    Draw i (from 1) picks among the orders not drawn yet, in seat order. The list's lines are the orders in seat order.
    """
    digest = EMPTY_LIST
    for order in orders:
        digest = extend_list(digest, order)
    left = list(orders)
    drawn = [left.pop(draw_number(seed, digest.hex(), i + 1, len(left))) for i in range(min(winners, len(orders)))]
    return frozenset(drawn)
