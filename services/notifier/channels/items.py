"""Letters on their way into a stream, in runs that one publish can take; pure."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.notifier.atomic import BATCH_MAX_BYTES, BATCH_MAX_MESSAGES
from services.notifier.channels import Bundle, Letter, Reached


class Item(NamedTuple):
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
    every = (
        Item(letter, bundle, ordinal) for bundle in bundles for ordinal, letter in enumerate(bundle.letters, start=1)
    )
    return itertools.islice(every, already_sent, None)


def chunks_of(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Yield the items in runs that one publish can take."""
    chunk: list[Item] = []
    size_bytes = 0
    for item in items:
        if chunk and (len(chunk) == BATCH_MAX_MESSAGES or size_bytes + len(item.letter.body) > BATCH_MAX_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(item)
        size_bytes += len(item.letter.body)
    if chunk:
        yield chunk
