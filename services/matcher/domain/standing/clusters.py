"""Which accounts share devices: union-find over a sliding window, in two panes that overlap.

A union cannot be undone, so the window is made of panes: each lives for a whole window and the next begins at its
half. What is asked is answered by the older one. Stated error: a link is remembered for half a window at least and a
whole one at most, and a pane that holds its stated number of accounts takes in no more until the next begins.
"""

from typing import Final

import msgspec

from services.matcher.domain.standing.packed import Key

PANE_ACCOUNTS: Final = 500_000
"""Accounts that share a device, in one pane; each takes about 200 bytes."""


class Pane(msgspec.Struct):
    """A forest: every account that shares something, under its parent; roots stand under none."""

    parents: dict[Key, Key] = {}
    sizes: dict[Key, int] = {}
    """How many accounts stand under a root, itself included."""

    def root(self, account: Key) -> Key:
        """Return the root of the cluster of `account`: itself where it shares nothing. O(log n) by union by size."""
        while (parent := self.parents.get(account)) is not None:
            account = parent
        return account

    def join(self, one: Key, other: Key) -> None:
        """Make one cluster of those of two accounts."""
        if len(self.parents) + len(self.sizes) >= PANE_ACCOUNTS:
            return
        one, other = self.root(one), self.root(other)
        if one == other:
            return
        size_one, size_other = self.sizes.get(one, 1), self.sizes.get(other, 1)
        if size_one < size_other:
            one, other = other, one
        self.parents[other] = one
        self.sizes.pop(other, None)
        self.sizes[one] = size_one + size_other


class Clusters(msgspec.Struct):
    """The older pane answers; both learn."""

    older: Pane = msgspec.field(default_factory=Pane)
    newer: Pane = msgspec.field(default_factory=Pane)
    half: int = 0
    """Number of the half window in which `newer` began."""

    def join(self, one: Key, other: Key, half: int) -> None:
        """Make one cluster of those of two accounts, in the half window numbered `half`."""
        if half != self.half:
            self.older = self.newer if half == self.half + 1 else Pane()
            self.newer = Pane()
            self.half = half
        self.older.join(one, other)
        self.newer.join(one, other)

    def is_shared(self, account: Key) -> bool:
        """Tell whether an account shares a device with another."""
        return account in self.older.parents or account in self.older.sizes

    def root(self, account: Key) -> Key:
        """Return the root of the cluster of `account`."""
        return self.older.root(account)
