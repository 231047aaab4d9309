"""How the naive model draws the winners of a group: ARCHITECTURE.md, "Fair by proof", followed by the letter."""

import hashlib
import hmac

from tests.builders import MARKET_KEY


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


SECRET = _hmac(MARKET_KEY, "groupbuy-secret-v1")


def secret_commitment() -> str:
    """Return what the market has to commit to."""
    return hashlib.sha256(b"groupbuy-secret-commitment-v1\n" + SECRET).hexdigest()


def seed(group: str) -> bytes:
    """Return the seed of a group of the market `main`."""
    return _hmac(SECRET, f"groupbuy-seed-v1\nmain\ngroup\n{group}\n{group[1:].replace('-', '.')}")


def seed_commitment(group: str) -> str:
    """Return the commitment to a group's seed."""
    return hashlib.sha256(seed(group)).hexdigest()


def winners(group: str, orders: list[str], count: int) -> list[str]:
    """Return who wins, in the order of the draws."""
    chain = hashlib.sha256(b"groupbuy-list-v1").digest()
    for order in orders:
        chain = hashlib.sha256(chain + order.encode()).digest()
    left, drawn = list(orders), []
    while left and len(drawn) < count:
        place = _uniform(seed(group), f"groupbuy-draw-v1\n{chain.hex()}\n{len(drawn) + 1}", len(left))
        drawn.append(left.pop(place))
    return drawn


def _uniform(key: bytes, text: str, below: int) -> int:
    attempt = 0
    while True:
        number = int(_hmac(key, f"{text}\n{attempt}").hex()[:16], 16)
        if number < 2**64 // below * below:
            return number % below
        attempt += 1
