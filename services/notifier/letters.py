"""From a record to letters: pure. One letter an addressee and record, as long as it fits.

One message for each outcome would cost the broker many times as much as one for all outcomes of a record. What goes out
in one batch, which is stored whole or not at all, is gathered once more, over its records.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from events.ids import is_name
from events.record import BadRecord, decode_entry
from services.bus.journal_chain import FollowedRecord, JournalBroken
from services.notifier.channels import Bundle, Letter
from services.notifier.policy.telling import told_in

LETTER_MAX_BYTES: Final = 512 * 1024
CLOSING: Final = b"]}"


class Mail(NamedTuple):
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
        results, outcomes = told_in(entry)
        for member, result in results:
            self._results.setdefault(member, []).append(result)
        for publisher, outcome in outcomes:
            self._outcomes.setdefault(publisher, []).append(outcome)

    def mail(self) -> Mail:
        """Return what the entries so far say to whom."""
        unaddressable = _drop_strange(self._results) + _drop_strange(self._outcomes)
        seq, own_hash = self._followed.seq, self._followed.hash
        results = Bundle(seq, own_hash, _letters(b'{"results":[', self._results))
        outcomes = Bundle(seq, own_hash, _letters(b'{"outcomes":[', self._outcomes))
        return Mail(results, outcomes, unaddressable)


def mail_of(followed: FollowedRecord) -> Mail:
    """Return what a record says to whom. Raises JournalBroken when an entry in it cannot be read."""
    sorter = Sorter(followed)
    for raw in followed.record.entries:
        sorter.add(raw)
    return sorter.mail()


def gathered(letters: Sequence[Letter]) -> list[Letter]:
    """Return letters that say the same in fewer messages: those to one addressee in one, in order, as long as it fits.

    Letters to one addressee must all be results, or all be outcomes.
    """
    to: dict[str, list[Letter]] = {}
    for letter in letters:
        to.setdefault(letter.addressee, []).append(letter)
    joined: list[Letter] = []
    for several in to.values():
        # Most are told once.
        joined += several if len(several) == 1 else _joined(several)
    return joined


def _joined(letters: list[Letter]) -> list[Letter]:
    """Join letters to one addressee, in runs that fit into a letter each."""
    runs: list[list[Letter]] = []
    size_bytes = 0
    for letter in letters:
        size_bytes += len(letter.body)
        if not runs or size_bytes > LETTER_MAX_BYTES:
            runs.append([])
            size_bytes = len(letter.body)
        runs[-1].append(letter)
    return [run[0] if len(run) == 1 else _join(run) for run in runs]


def _join(letters: list[Letter]) -> Letter:
    first = letters[0]
    start = first.body.index(b"[") + 1
    opening = first.body[:start]
    assert all(letter.body.startswith(opening) for letter in letters), "results and outcomes do not mix"
    documents = b",".join([letter.body[start : -len(CLOSING)] for letter in letters])
    return Letter(first.addressee, opening + documents + CLOSING, sum([letter.tells for letter in letters]))


def _drop_strange(told: dict[str, list[bytes]]) -> int:
    """Drop what is for names that cannot stand in a subject, which gateway and matcher let none through, and count."""
    strange = [name for name in told if not is_name(name)]
    for name in strange:
        del told[name]
    return len(strange)


def _letters(opening: bytes, told: dict[str, list[bytes]]) -> list[Letter]:
    letters: list[Letter] = []
    for addressee, documents in told.items():
        # One document is one page, however long, and most are told one thing.
        if len(documents) == 1:
            letters.append(Letter(addressee, opening + documents[0] + CLOSING, 1))
        else:
            # Not a sum: what is told a publisher is long.
            bodies = [(b"%b%b%b" % (opening, b",".join(page), CLOSING), len(page)) for page in _pages(documents)]
            letters += [Letter(addressee, body, tells) for body, tells in bodies]
    return letters


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
