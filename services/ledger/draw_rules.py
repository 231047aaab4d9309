"""Cuts and draws again, from ARCHITECTURE.md, "Fair by proof", alone: nothing here is shared with who made them."""

import hashlib
from hmac import HMAC
from typing import Final

_RANGE: Final = 2**64


def sha256_hex(content: bytes) -> str:
    """Return SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def number_below(seed: bytes, text: str, end: int) -> int:
    """Return the number from 0 to `end` - 1 that `seed` and `text` determine."""
    attempt = 0
    while True:
        digest = HMAC(seed, f"{text}\n{attempt}".encode(), hashlib.sha256).digest()
        number = int.from_bytes(digest[:8], "big")
        if number < _RANGE // end * end:
            return number % end
        attempt += 1


def cut(
    seed: bytes, position: int, helper: str, *, remaining_minor: int, helpers_left: int, share_percent: int, weight: int
) -> int:
    """Return what a helper cuts off, of whom `helpers_left` may still come, this one included."""
    if helpers_left <= 1:
        return remaining_minor
    for_the_others = helpers_left - 1
    bound = min(remaining_minor * share_percent // 100, remaining_minor - for_the_others)
    drawn = number_below(seed, f"groupbuy-cut-v1\n{position}\n{helper}", max(bound, 1)) + 1
    return min(drawn * weight, remaining_minor - for_the_others)


class TicketList:
    """The list of tickets of a lottery, or of the seats of a group, and its digest."""

    def __init__(self) -> None:
        self.tickets: dict[str, int] = {}
        self._digest = hashlib.sha256(b"groupbuy-list-v1").digest()

    @property
    def digest(self) -> str:
        """The digest that enters the draws."""
        return self._digest.hex()

    def enter(self, name: str) -> None:
        """Give a name its place, without a ticket."""
        self.tickets.setdefault(name, 0)

    def add(self, name: str, tickets: int, of: str) -> None:
        """Add tickets, or take them away, for an assist or a seat."""
        self.enter(name)
        self.tickets[name] += tickets
        self._extend(f"{name} {tickets} {of}")

    def seat(self, order: str) -> None:
        """Add the seat of an order to the list of a group."""
        self.enter(order)
        self.tickets[order] += 1
        self._extend(order)

    def _extend(self, line: str) -> None:
        self._digest = hashlib.sha256(self._digest + line.encode()).digest()

    def draw(self, seed: bytes, count: int, *, many: bool) -> list[str]:
        """Return who wins, in the order of the draws."""
        left = dict(self.tickets)
        drawn: list[str] = []
        while len(drawn) < count and (total := sum(left.values())):
            number = number_below(seed, f"groupbuy-draw-v1\n{self.digest}\n{len(drawn) + 1}", total)
            winner = _holder(left, number)
            left[winner] -= 1 if many else left[winner]
            drawn.append(winner)
        return drawn


def _holder(tickets: dict[str, int], number: int) -> str:
    for name, held in tickets.items():
        if number < held:
            return name
        number -= held
    raise AssertionError("the number lies below the total")
