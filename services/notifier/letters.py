"""From a record to letters: pure. One letter an addressee and record, as long as it fits.

One message for each outcome would cost the broker many times as much as one for all outcomes of a record.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.ids import is_name
from events.record import BadRecord, decode_entry
from services.bus.journal import FollowedRecord, JournalBroken
from services.notifier.channels import Bundle, Letter
from services.notifier.policy import member_results, publisher_outcomes

LETTER_MAX_BYTES: Final = 512 * 1024


class Mail(msgspec.Struct, frozen=True):
    """What one record says: results to members, outcomes to publishers; `unaddressable` had no usable name."""

    results: Bundle
    outcomes: Bundle
    unaddressable: int

    @property
    def messages(self) -> int:
        """How many messages it makes."""
        return len(self.results.letters) + len(self.outcomes.letters)


class Sorter:
    """Sorts one record by addressee, an entry at a time, since a record can hold thousands."""

    def __init__(self, followed: FollowedRecord) -> None:
        self._followed = followed
        self._results: dict[str, list[bytes]] = {}
        self._outcomes: dict[str, list[bytes]] = {}

    def add(self, raw: msgspec.Raw) -> None:
        """Sort the next entry. Raises JournalBroken when it cannot be read."""
        try:
            entry = decode_entry(raw)
        except BadRecord as error:
            raise JournalBroken(
                f"record {self._followed.seq} holds an entry that this version of the notifier cannot read: {error}; "
                f"nothing of it is sent: upgrade the notifier"
            ) from None
        for member, result in member_results(entry):
            self._results.setdefault(member, []).append(result)
        for publisher, outcome in publisher_outcomes(entry):
            self._outcomes.setdefault(publisher, []).append(outcome)

    def mail(self) -> Mail:
        """Return what the entries so far say to whom."""
        unaddressable = _drop_strange(self._results) + _drop_strange(self._outcomes)
        seq, own_hash = self._followed.seq, self._followed.hash
        results = Bundle(seq, own_hash, list(_letters(b'{"results":[', self._results)))
        outcomes = Bundle(seq, own_hash, list(_letters(b'{"outcomes":[', self._outcomes)))
        return Mail(results, outcomes, unaddressable)


def mail_of(followed: FollowedRecord) -> Mail:
    """Return what a record says to whom. Raises JournalBroken when an entry in it cannot be read."""
    sorter = Sorter(followed)
    for raw in followed.record.entries:
        sorter.add(raw)
    return sorter.mail()


def _drop_strange(told: dict[str, list[bytes]]) -> int:
    """Drop what is for names that cannot stand in a subject, which gateway and matcher let none through, and count."""
    strange = [name for name in told if not is_name(name)]
    for name in strange:
        del told[name]
    return len(strange)


def _letters(opening: bytes, told: dict[str, list[bytes]]) -> Iterator[Letter]:
    for addressee, documents in told.items():
        for page in _pages(documents):
            yield Letter(addressee, b"%b%b]}" % (opening, b",".join(page)), len(page))


def _pages(documents: list[bytes]) -> list[list[bytes]]:
    """Return the documents in as few runs as fit into a letter each; one too long for any stands alone."""
    if sum(map(len, documents)) + len(documents) <= LETTER_MAX_BYTES:
        return [documents]
    pages: list[list[bytes]] = []
    room_bytes = 0
    for document in documents:
        room_bytes -= len(document) + 1
        if room_bytes < 0:
            pages.append([])
            room_bytes = LETTER_MAX_BYTES - len(document) - 1
        pages[-1].append(document)
    return pages
