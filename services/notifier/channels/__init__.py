"""Ways out of the notifier: what is to be told, and the one interface through which every channel tells it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from services.bus.journal_chain import JournalPosition


class Letter(msgspec.Struct, frozen=True, gc=False):
    """One message for one addressee; `tells` is how many outcomes or results stand in it."""

    addressee: str
    body: bytes
    tells: int


class Bundle(msgspec.Struct, frozen=True):
    """Everything that one record of the journal says through one channel, in an order that never changes."""

    journal_seq: int
    record_hash: str
    letters: list[Letter]

    @property
    def position(self) -> JournalPosition:
        """The position of the record."""
        return JournalPosition(self.journal_seq, self.record_hash)


class Reached(msgspec.Struct, frozen=True):
    """How far a channel has come: the record, and how many of the letters of its bundle are sent."""

    position: JournalPosition
    ordinal: int = 0
    of: int = 0

    @property
    def complete(self) -> bool:
        """Whether all letters of the record are sent."""
        return self.ordinal == self.of


class Channel(Protocol):
    """A way out that knows from its own store how far it has come, whatever the notifier believes.

    Bundles come in the order of the journal and may come again; a channel sends each letter once.
    """

    @property
    def name(self) -> str:
        """Name for people: what the channel writes to."""
        ...

    @property
    def reached(self) -> Reached:
        """How far the channel has come, once opened."""
        ...

    @property
    def conflicts(self) -> int:
        """How often something else had been written than expected: by another notifier, or by an earlier try."""
        ...

    async def open(self) -> None:
        """Learn from the channel's own store how far it has come. Raises JournalBroken when it cannot be known."""
        ...

    def has(self, journal_seq: int, record_hash: str) -> bool:
        """Tell whether a record is dealt with. Raises JournalBroken when another record was, at its place."""
        ...

    async def deliver(self, bundles: Sequence[Bundle]) -> None:
        """Send what is not sent yet, and return when it is stored for good.

        Raises JournalBroken when that can never be, and anything else when it is worth another try.
        """
        ...

    async def renew(self) -> None:
        """Do what must be done about once a minute, whether there is anything to send or not."""
        ...
