"""Letters on their way into a stream, in runs that one publish can take; pure."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Final

import msgspec

from services.notifier.atomic import BATCH_MAX_BYTES, BATCH_MAX_MESSAGES
from services.notifier.channels import Bundle, Letter, Reached
from services.notifier.letters import LETTER_MAX_BYTES

# Whoever is told so much that it takes several messages takes the room of others.
_ROOM: Final = 2 * BATCH_MAX_BYTES // LETTER_MAX_BYTES
ADDRESSEES_MAX: Final = BATCH_MAX_MESSAGES - _ROOM


class Item(msgspec.Struct, frozen=True, gc=False):
    """A letter on its way: the `ordinal`th of its bundle."""

    letter: Letter
    bundle: Bundle
    ordinal: int

    @property
    def reached(self) -> Reached:
        """How far a stream has come with it."""
        return Reached(self.bundle.position, self.ordinal, len(self.bundle.letters))


def items_of(bundles: Sequence[Bundle], already_sent: int) -> Iterator[Item]:
    """Yield the letters of the bundles without the first `already_sent`."""
    every = chain.from_iterable(
        map(Item, bundle.letters, repeat(bundle), range(1, len(bundle.letters) + 1)) for bundle in bundles
    )
    return islice(every, already_sent, None)


def chunks_of(items: Iterator[Item], max_messages: int = BATCH_MAX_MESSAGES) -> Iterator[list[Item]]:
    """Yield the items in runs that make at most so many messages, where letters to one addressee go in one."""
    addressees_max = max_messages - _ROOM
    chunk: list[Item] = []
    addressees: set[str] = set()
    size_bytes = 0
    for item in items:
        letter = item.letter
        is_full = len(addressees) == addressees_max and letter.addressee not in addressees
        if chunk and (is_full or size_bytes + len(letter.body) > BATCH_MAX_BYTES):
            yield chunk
            chunk, addressees, size_bytes = [], set(), 0
        chunk.append(item)
        addressees.add(letter.addressee)
        size_bytes += len(letter.body)
    if chunk:
        yield chunk
