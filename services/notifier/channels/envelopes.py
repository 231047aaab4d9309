"""Messages as an output stream takes them: each letter on its addressee's subject, the last with its place; pure."""

from collections.abc import Callable, Sequence

from services.notifier.atomic import Outgoing
from services.notifier.channels import Letter, Reached
from services.notifier.channels.items import Item
from services.notifier.channels.place import HEADER_PLACE, place_header
from services.notifier.letters import gathered


class Envelopes:
    """Puts letters into messages of `stream`, at the subject that `subject_of` gives for each addressee."""

    def __init__(self, stream: str, subject_of: Callable[[str], str]) -> None:
        self._stream = stream
        self.subject_of = subject_of

    def loose(self, letters: Sequence[Letter]) -> list[Outgoing]:
        """Return messages that name no place: something must stand behind them that does."""
        return [Outgoing(self.subject_of(letter.addressee), letter.body, {}) for letter in letters]

    def placed(self, seq: int, letter: Letter, reached: Reached) -> Outgoing:
        """Return a message for place `seq` that says that the stream has come as far as `reached` with it."""
        position = reached.position
        place = place_header(self._stream, seq, position.seq, reached.ordinal, reached.of, position.hash)
        return Outgoing(self.subject_of(letter.addressee), letter.body, {HEADER_PLACE: place})

    def all_placed(self, first_seq: int, items: Sequence[Item]) -> list[Outgoing]:
        """Return messages for the places from `first_seq` on, each with its own."""
        return [self.placed(seq, item.letter, item.reached) for seq, item in enumerate(items, start=first_seq)]

    def batch(self, first_seq: int, items: Sequence[Item]) -> list[Outgoing]:
        """Return the messages of a batch for the places from `first_seq` on: one for each addressee, as far as it fits.

        A batch is stored whole or not at all: the last speaks for all of it.
        """
        *before, last = gathered([item.letter for item in items])
        return [*self.loose(before), self.placed(first_seq + len(before), last, items[-1].reached)]
