"""A queue that a snapshot can hold."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Fifo(msgspec.Struct, Generic[T]):
    """A queue that a snapshot can hold; taking from its head costs O(1) amortised.

    Not a dict: finding the first key of a dict whose first n keys were deleted costs n steps, each time.
    """

    items: list[T] = []
    head: int = 0

    def push(self, item: T) -> None:
        """Add `item` at the end."""
        self.items.append(item)

    def peek(self) -> T | None:
        """Return the first item, or None."""
        return self.items[self.head] if self.head < len(self.items) else None

    def drop(self) -> None:
        """Remove the first item."""
        self.head += 1
        if self.head > 1024 and self.head * 2 > len(self.items):
            del self.items[: self.head]
            self.head = 0


class Ends(Fifo[tuple[int, str | tuple[str, ...]]]):
    """Orders by when they ended (ns). Those of a group that fills are one note, its own tuple: 64 bytes less each."""

    taken: int = 0
    """How many orders of the first note were taken."""

    def take(self) -> str:
        """Take the next order out of the first note; with its last one the note goes."""
        noted = self.items[self.head][1]
        if isinstance(noted, str):
            self.drop()
            return noted
        order = noted[self.taken]
        self.taken += 1
        if self.taken == len(noted):
            self.taken = 0
            self.drop()
        return order
