"""What a dossier is asked to be about, which entries concern that, and whose it is."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from events import dispute_decisions as dd
from events import play_decisions as p
from events.notice import NoticeFact
from events.record import parse_entry_id
from services.ledger.dossier import contents as c
from services.ledger.faults import BadQuestion, NotFound
from services.ledger.history import FoundEntry, entries_of, entry_at
from services.ledger.lean import EntryPosition
from services.ledger.notices import entry_of, facts_to_member
from services.ledger.store import LedgerStore

_SANCTIONS: Final = frozenset({"member.warned", "member.limited", "member.banned", "member.reinstated"})
Kind = Literal["dispute", "order", "group"]


class DossierRequest(msgspec.Struct, kw_only=True, frozen=True):
    """What a dossier is to be about and for whom; without `reader` it is whoever the dispute or order is of."""

    kind: Kind
    name: str
    audience: c.Audience
    reader: str | None = None
    since: bytes | None = None
    made_at_ns: int


class Told(msgspec.Struct, frozen=True):
    """What a member was told, or was not: the archived fact, its exact bytes and read."""

    raw: bytes
    fact: NoticeFact


class Concerned(msgspec.Struct, frozen=True):
    """What concerns the matter: entries in order, those of the disputed thing itself among them, and notices."""

    entries: list[FoundEntry]
    disputed: frozenset[EntryPosition] = frozenset()
    notices: tuple[Told, ...] = ()


def concerned(store: LedgerStore, request: DossierRequest) -> Concerned:
    """Return what concerns what is asked for: of a dispute also the entries of its order, its group, and its subject.

    Raises NotFound when nothing does, BadQuestion when it is more than fits.
    """
    found = {entry.position: entry for entry in entries_of(store, request.kind, request.name)}
    if not found:
        raise NotFound(f"nothing in the ledger concerns {request.kind} {request.name}")
    disputed: set[EntryPosition] = set()
    notices: list[Told] = []
    if request.kind == "dispute":
        for order in _named(found.values(), "order", dd.DisputeOpened):
            found |= {entry.position: entry for entry in entries_of(store, "order", order)}
        for opened in _openings(found.values()):
            notices += _notices(store, opened)
            subject = [*_of_play(store, opened), *_of_member(store, opened), *_told_of(store, notices)]
            disputed |= {entry.position for entry in subject}
            found |= {entry.position: entry for entry in subject}
    if request.kind != "group":
        for group in _named(found.values(), "group"):
            found |= {entry.position: entry for entry in entries_of(store, "group", group)}
    if len(found) > c.ENTRIES_MAX:
        raise BadQuestion(f"{len(found)} entries concern {request.kind} {request.name}: at most {c.ENTRIES_MAX} fit")
    return Concerned([found[position] for position in sorted(found)], frozenset(disputed), tuple(notices))


def _openings(entries: Iterable[FoundEntry]) -> list[dd.DisputeOpened]:
    return [each for found in entries for each in found.entry.decisions if isinstance(each, dd.DisputeOpened)]


def _of_play(store: LedgerStore, opened: dd.DisputeOpened) -> Iterator[FoundEntry]:
    """Yield the entries of the play that a dispute is about; of one assist's dispute those of that assist alone."""
    if opened.play is None:
        return
    for found in entries_of(store, "play", opened.play):
        decisions = found.entry.decisions
        is_whole = opened.about == "play" or any(isinstance(each, p.PlayOpened | p.PlayClosed) for each in decisions)
        if is_whole or any(getattr(each, "assist", None) == opened.disputed for each in decisions):
            yield found


def _of_member(store: LedgerStore, opened: dd.DisputeOpened) -> Iterator[FoundEntry]:
    """Yield the entries of the invitation or of the sanctions that a dispute is about; no index has them by name."""
    if opened.about not in ("invitation", "sanction"):
        return
    for found in entries_of(store, "member", opened.member):
        for each in found.entry.decisions:
            is_invitation = getattr(each, "invitation", None) == opened.disputed
            is_sanction = str(each.__struct_config__.tag) in _SANCTIONS and getattr(each, "member", "") == opened.member
            if is_invitation if opened.about == "invitation" else is_sanction:
                yield found
                break


def _notices(store: LedgerStore, opened: dd.DisputeOpened) -> Iterator[Told]:
    """Yield what the member was told, or was not, where the dispute is about that or about an invitation.

    A notice is named by its id, as it stands on the message, by one of its facts, or by the entry that it is about.
    """
    if opened.about not in ("notice", "invitation"):
        return
    invitations = {entry.name for entry in _of_member(store, opened)}
    for raw, fact in facts_to_member(store, opened.member):
        names = {fact.data.notice, fact.id, entry_of(fact)}
        if opened.disputed in names or entry_of(fact) in invitations:
            yield Told(raw, fact)


def _told_of(store: LedgerStore, notices: Iterable[Told]) -> Iterator[FoundEntry]:
    """Yield the entries whose decisions notices are about."""
    for name in dict.fromkeys(entry_of(told.fact) for told in notices):
        # One that names no entry is for the audit to find, and no reason to withhold the rest.
        with contextlib.suppress(NotFound, ValueError):
            yield entry_at(store, parse_entry_id(name))


def _named(entries: Iterable[FoundEntry], field: str, kind: type = object) -> list[str]:
    decisions = (each for found in entries for each in found.entry.decisions if isinstance(each, kind))
    names = (getattr(each, field, None) for each in decisions)
    return sorted({name for name in names if isinstance(name, str)})


def reader_of(request: DossierRequest, entries: Sequence[FoundEntry]) -> str:
    """Return whose the dispute or order is."""
    if request.audience == "auditor":
        return ""
    field = "member" if request.audience == "member" else "publisher"
    names = {
        name
        for found in entries
        for each in found.entry.decisions
        if getattr(each, request.kind, None) == request.name and isinstance(name := getattr(each, field, None), str)
    }
    if request.kind == "group" or len(names) != 1:
        raise BadQuestion(
            f"say for which {request.audience}: with {'--member' if field == 'member' else '--publisher'}"
        )
    return names.pop()
