"""`ledger why`: what an entry decided, under which rule, from which facts, and which earlier entries led to it.

Two parts: a letter, in words that can be sent to the member whom it concerns, which names no other member and no
threshold; and what stands behind it, for the operator alone.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events import decisions as d
from events.member_decisions import InvitationRefused
from events.record import decode_record, entry_id, parse_entry_id
from events.registry import AnyEvent
from events.standing_decisions import AssistDoubted
from events.times import format_time_ns, parse_time_ns
from services.ledger.explaining.members import INVITATION_REASONS
from services.ledger.explaining.table import REASONS, explanation_of
from services.ledger.explaining.words import LANGUAGES, Language
from services.ledger.history import FoundEntry, Until, entries_of, entry_at, event_of, read_record
from services.ledger.lean import EntityKind, EntryPosition
from services.ledger.notices import why_of_entry
from services.ledger.store import LedgerStore
from services.ledger.words import decision_in_words, followed_from_before, source_in_words

EARLIER_MAX: Final = 12
"""So many earlier entries are named of each order, group or member."""
LOOKED_AT_MAX: Final = 2_000
"""So many entries of each are looked at, from the first on."""
_BY_ITSELF: Final = {
    "en": "Nobody had to do anything for it: its time had come.",
    "zh": "无需任何人操作：时间已到。",
}
_FOLLOWED: Final = {
    "en": "It followed by the rules from what had been decided before; nobody decided it by hand.",
    "zh": "依规则由此前的决定得出，并非人工决定。",
}
_CLAIMED: Final = {
    "en": "It says that it happened at {claimed}; it was accepted at {accepted}, and that is the time that counts.",
    "zh": "其自称发生于 {claimed}；受理时间为 {accepted}，以受理时间为准。",
}
_ACCEPTED: Final = {"en": "It was decided at {accepted}.", "zh": "决定时间为 {accepted}。"}
_PROOF: Final = {
    "en": "This is entry {entry} of the ledger of market {market}, decided under rule version {rule}.",
    "zh": "此为市场 {market} 账本的条目 {entry}，适用规则版本 {rule}。",
}


class Explained(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One decision: which section of the rules, its own fields, and in words for the operator."""

    kind: str
    rule: str
    in_words: str
    facts: d.AnyDecision
    in_letter: bool


class Earlier(msgspec.Struct, kw_only=True):
    """An earlier entry that this one follows from, and through what."""

    entry: str
    at_ns: int
    about: str
    in_words: str


class Why(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why an entry is as it is. `letter` is by language; everything else is for the operator.

    `notices` says what became of each message about it, and why: to the member asked about, otherwise to everybody.
    """

    entry: str
    market: str
    record: int
    rule_version: int
    source: str
    claimed_at: str | None = None
    claimed_at_ns: int | None = None
    accepted_at: str
    accepted_at_ns: int
    member: str | None = None
    decisions: list[Explained]
    led_by: list[Earlier]
    told: list[str]
    """What became of messages about it, to everybody or to the member who was asked for: why one came, or did not."""
    letter: dict[Language, str]


def why(store: LedgerStore, position: EntryPosition, member: str | None = None) -> Why:
    """Explain the entry at `position`; the letter is for `member`, by default the one whom it answers.

    Raises NotFound when there is no such entry.
    """
    found, rule = find_entry(store, position)
    event = event_of(found)
    whom = member or _member_of(found, event)
    claimed_ns = None if event is None else parse_time_ns(event.time)
    written = [decision for decision in found.entry.decisions if _concerns(decision, whom)]
    return Why(
        entry=found.name,
        market=store.market,
        record=found.record,
        rule_version=rule,
        source=source_in_words(found, event),
        claimed_at=None if claimed_ns is None else format_time_ns(claimed_ns),
        claimed_at_ns=claimed_ns,
        accepted_at=format_time_ns(found.entry.at),
        accepted_at_ns=found.entry.at,
        member=whom,
        decisions=[_explained(decision, decision in written) for decision in found.entry.decisions],
        led_by=list(_led_by(store, found, event)),
        told=why_of_entry(store, found, member),
        letter={language: _letter(store, found, claimed_ns, rule, written, language) for language in LANGUAGES},
    )


def find_entry(store: LedgerStore, position: EntryPosition) -> tuple[FoundEntry, int]:
    """Return the entry at a position and the rule version of its record. Raises NotFound when there is none."""
    found = entry_at(store, position)
    return found, decode_record(read_record(store, found.record)).rule


def _explained(decision: d.AnyDecision, in_letter: bool) -> Explained:
    return Explained(
        kind=str(decision.__struct_config__.tag),
        rule=explanation_of(decision).rule,
        in_words=decision_in_words(decision),
        facts=decision,
        in_letter=in_letter,
    )


# The letter


def _letter(
    store: LedgerStore,
    found: FoundEntry,
    claimed_ns: int | None,
    rule: int,
    decisions: list[d.AnyDecision],
    language: Language,
) -> str:
    times = {"accepted": format_time_ns(found.entry.at)}
    if claimed_ns is not None:
        when = _CLAIMED[language].format(claimed=format_time_ns(claimed_ns), **times)
    else:
        when = _ACCEPTED[language].format(**times)
    sentences = [_sentence(decision, language) for decision in decisions]
    if found.entry.publisher is None:
        sentences.append((_FOLLOWED if followed_from_before(found.entry) else _BY_ITSELF)[language])
    proof = _PROOF[language].format(entry=found.name, market=store.market, rule=rule)
    return "\n".join([*dict.fromkeys(sentences), when, proof])


def _sentence(decision: d.AnyDecision, language: Language) -> str:
    fields: dict[str, Any] = msgspec.structs.asdict(decision)
    sentence = explanation_of(decision).text(language, fields)
    if not isinstance(decision, InvitationRefused):
        return sentence
    reason = str(decision.reason)
    why_not = INVITATION_REASONS.get(reason) or REASONS.get(reason)
    return sentence if why_not is None else f"{sentence} {why_not.text(language, fields)}"


def _member_of(found: FoundEntry, event: AnyEvent | None) -> str | None:
    """Return whom an entry answers: the member or inviter of its event, else the only one that its decisions name."""
    data = getattr(event, "data", None)
    member = getattr(data, "member", None) or getattr(data, "inviter", None)
    if isinstance(member, str):
        return member
    named = {getattr(decision, "member", None) for decision in found.entry.decisions} - {None}
    return str(named.pop()) if len(named) == 1 else None


def _concerns(decision: d.AnyDecision, member: str | None) -> bool:
    """Tell whether a member may be told of a decision: one about it, about nobody, or about its whole group."""
    whose = getattr(decision, "member", None)
    return whose is None or whose == member


# What led to it


def _led_by(store: LedgerStore, found: FoundEntry, event: AnyEvent | None) -> Iterator[Earlier]:
    """Yield the earlier entries that an entry follows from, each once, in order."""
    earlier: dict[EntryPosition, Earlier] = {}
    for kind, name in _causes(found, event):
        chosen = [each for each in _before(store, kind, name, found.position) if _weighs(each, kind, name)]
        for each in chosen if len(chosen) <= EARLIER_MAX else [chosen[0], *chosen[1 - EARLIER_MAX :]]:
            earlier.setdefault(each.position, _earlier(each, f"{kind} {name}"))
    for decision in found.entry.decisions:
        if isinstance(decision, d.Duplicate):
            original, _ = find_entry(store, parse_entry_id(decision.of))
            earlier.setdefault(original.position, _earlier(original, "the same event"))
        for name in _evidence_of(decision):
            evidence, _ = find_entry(store, parse_entry_id(name))
            earlier.setdefault(evidence.position, _earlier(evidence, "evidence"))
    yield from (earlier[position] for position in sorted(earlier))


def _evidence_of(decision: d.AnyDecision) -> list[str]:
    """Return the entries that a sanction or a doubt names as what led to it."""
    if isinstance(decision, AssistDoubted):
        return [decision.because]
    return list(getattr(decision, "evidence_entries", ()))


def _causes(found: FoundEntry, event: AnyEvent | None) -> dict[tuple[EntityKind, str], None]:
    """Return the orders, groups and plays, and for a refusal the member, whose history leads to an entry."""
    causes: dict[tuple[EntityKind, str], None] = {}
    named = [getattr(event, "data", None), *found.entry.decisions]
    for kind in ("order", "group", "play"):
        for each in named:
            name = getattr(each, kind, None)
            if isinstance(name, str):
                causes[kind, name] = None
    is_refused = isinstance(found.entry.decisions[0], d.Refused)
    member = getattr(named[0], "member", None)
    if isinstance(member, str) and (is_refused or not causes):
        causes["member", member] = None
    return causes


def _before(store: LedgerStore, kind: EntityKind, name: str, position: EntryPosition) -> Iterator[FoundEntry]:
    for looked_at, each in enumerate(entries_of(store, kind, name, Until(position=position))):
        if each.position >= position or looked_at >= LOOKED_AT_MAX:
            return
        yield each


def _weighs(found: FoundEntry, kind: EntityKind, name: str) -> bool:
    """Tell whether an entry changed what it names: of a group its opening and end, of others whatever was decided."""
    if kind != "group":
        return not isinstance(found.entry.decisions[0], d.Refused | d.Duplicate)
    own = (d.GroupOpened, d.GroupFilled, d.GroupExpired, d.GroupDissolved, d.GroupMerged)
    return any(
        isinstance(each, own) and name in (each.group, getattr(each, "into", None)) for each in found.entry.decisions
    )


def _earlier(found: FoundEntry, about: str) -> Earlier:
    return Earlier(
        entry=entry_id(*found.position),
        at_ns=found.entry.at,
        about=about,
        in_words="; ".join(decision_in_words(decision) for decision in found.entry.decisions),
    )
