"""What must be true after a round, each check over the whole history; they find, they never mend."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from events import decisions as d
from events import subjects
from events.outcomes import news_of, outcome_of, results_of
from events.record import Entry
from services.ledger.audit import audit
from services.ledger.replay_check import replay_check
from services.ledger.replay_part import Source
from services.ledger.verify import verify
from services.matcher.domain.facts import Facts
from services.matcher.zones import pinned_zones
from tests.chaos.arena import MARKET, Arena
from tests.chaos.evidence import Evidence, Message, must
from tests.model.auditor import Auditor

FORGOTTEN: Final = frozenset(("too_old", "from_the_future", "capacity", "wrong_family", "publisher_not_allowed"))
"""Refusals of events whose identity is not kept."""
Check = Callable[[Arena, Evidence], None]


def every_input_is_decided_once_and_in_order(arena: Arena, evidence: Evidence) -> None:
    """Positions follow each other without gap or repetition, and each input has one entry that answers it."""
    del arena
    positions = [(entry.seq, entry.index, entry.part) for entry in evidence.entries]
    must(positions == sorted(set(positions)), "entries are not in order, or one is there twice")
    decided = {entry.seq for entry in evidence.entries}
    missing = set(range(1, evidence.notes["intake_last_seq"] + 1)) - decided
    must(not missing, f"intake messages without an entry: {sorted(missing)[:5]} of {len(missing)}")
    answered = Counter((entry.seq, entry.index) for entry in evidence.entries if entry.publisher is not None)
    twice = [place for place, times in answered.items() if times > 1]
    must(not twice, f"answered twice: {twice[:3]}")


def acknowledged_events_have_one_outcome(arena: Arena, evidence: Evidence) -> None:
    """What the broker acknowledged is decided where it stands, and what was answered is what the journal says."""
    del arena
    by_place = {(entry.seq, entry.index): entry for entry in evidence.entries if entry.publisher is not None}
    for publisher, events, seq in evidence.memory.stored:
        for index, event in enumerate(events):
            entry = by_place.get((seq, index))
            must(entry is not None, f"event {event['id']} of {publisher}, acknowledged at {seq}, has no outcome")
            assert entry is not None
            must(entry.publisher == publisher, f"{seq}.{index} was decided for {entry.publisher}, not {publisher}")
            must(_is_of(entry, event["id"]), f"{seq}.{index} is not {event['id']}")
    by_name = {f"{entry.seq}.{entry.index}.{entry.part}": entry for entry in evidence.entries}
    for publisher, event, outcome in evidence.memory.answered:
        entry = by_name.get(outcome["entry"])
        must(
            entry is not None, f"{event['id']} of {publisher} was answered with {outcome['entry']}, which is not there"
        )
        assert entry is not None
        must(_key(outcome_of(entry, event["id"])) == _key(outcome), f"{event['id']} was told {outcome}")


def _is_of(entry: Entry, event_id: str) -> bool:
    return entry.event is None or json.loads(bytes(entry.event))["id"] == event_id


def one_identity_counts_once(arena: Arena, evidence: Evidence) -> None:
    """However often an event was sent, it is decided once; every other time it is a duplicate, or reused."""
    del arena
    first: dict[tuple[str, str, str], bytes] = {}
    for entry in evidence.entries:
        if entry.event is None or entry.publisher in (None, subjects.MATCHER):
            continue
        raw = bytes(entry.event)
        event, decision = json.loads(raw), entry.decisions[0]
        assert entry.publisher is not None
        identity = (entry.publisher, event["source"], event["id"])
        if isinstance(decision, d.Duplicate):
            must(first.get(identity) == raw, f"{identity} is a duplicate of nothing like it")
        elif isinstance(decision, d.Refused) and decision.reason == "id_reused":
            must(first.get(identity, raw) != raw, f"{identity} is refused as reused, and was not")
        elif isinstance(decision, d.Refused) and decision.reason in FORGOTTEN:
            continue
        else:
            must(identity not in first, f"{identity} was decided twice")
            first[identity] = raw


def no_group_is_overfilled(arena: Arena, evidence: Evidence) -> None:
    """No group has more seats than its offer says, none ends twice, and none is open in the end."""
    del arena
    seating = _Seating()
    for entry in evidence.entries:
        seating.follow(entry)
    twice = [group for group, times in seating.ended.items() if times > 1]
    must(not twice, f"groups that ended twice: {twice[:3]}")
    still_open = sorted(seating.size.keys() - seating.ended.keys())
    must(not still_open, f"groups without an end: {still_open[:3]} of {len(still_open)}")


class _Seating:
    """Who sits where, from the entries alone."""

    def __init__(self) -> None:
        self._offers: dict[str, int] = {}
        self.size: dict[str, int] = {}
        self.ended: Counter[str] = Counter()
        self._seats: dict[str, set[str]] = {}

    def follow(self, entry: Entry) -> None:
        """Take in an entry. Raises Violation where it seats more than there are seats."""
        if entry.event is not None and isinstance(entry.decisions[0], d.OfferListed):
            offered = json.loads(bytes(entry.event))["data"]
            if "size" in offered:
                self._offers[offered["offer"]] = offered.get("max_size", offered["size"])
        for decision in entry.decisions:
            self._take_in(decision)

    def _take_in(self, decision: d.AnyDecision) -> None:
        match decision:
            case d.GroupOpened():
                self.size[decision.group] = self._offers[decision.offer]
                self._seats[decision.group] = set()
            case d.SeatHeld() | d.SeatConfirmed():
                self._seats[decision.group].add(decision.order)
                self._check(decision.group)
            case d.SeatReleased():
                self._seats[decision.group].discard(decision.order)
            case d.GroupMerged():
                self.ended[decision.group] += 1
                self._seats[decision.into] |= self._seats.pop(decision.group)
                self._check(decision.into)
            case d.GroupFilled() | d.GroupExpired() | d.GroupDissolved() if decision.page == 1:
                self.ended[decision.group] += 1
            case _:
                pass

    def _check(self, group: str) -> None:
        seats, size = self._seats[group], self.size[group]
        must(len(seats) <= size, f"{group} has {size} seats, and in them {sorted(seats)}")


def money_is_honoured_or_owed_back(arena: Arena, evidence: Evidence) -> None:
    """Every payment that came in is honoured in a filled group or owed back, to the last 分."""
    del arena
    books = Auditor()
    try:
        books.follow([_fields(entry) for entry in evidence.entries])
    except AssertionError as error:
        must(False, f"the books: {error}")
    for money, amount in books.paid_in.items():
        elsewhere = books.refunded[money] + books.seated[money]
        must(amount == elsewhere, f"{money}: {amount} came in, {elsewhere} is honoured or owed back")
    evidence.notes["paid_minor"] = sum(books.paid_in.values())
    evidence.notes["honoured_minor"] = sum(books.seated.values())
    evidence.notes["owed_back_minor"] = sum(books.refunded.values())


def _fields(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = {"seq": entry.seq, "index": entry.index, "part": entry.part, "at": entry.at}
    if entry.publisher is not None:
        fields["publisher"] = entry.publisher
    if entry.event is not None:
        fields["event"] = bytes(entry.event)
    return {**fields, "decisions": msgspec.to_builtins(entry.decisions)}


def every_result_and_outcome_is_told_once(arena: Arena, evidence: Evidence) -> None:
    """Each member has each result on the own subject once, each publisher each outcome, and nobody anything else."""
    del arena
    outcomes: Counter[tuple[str, bytes]] = Counter()
    results: Counter[tuple[str, bytes]] = Counter()
    for entry in evidence.entries:
        # The matcher's own knocks interest nobody.
        if entry.publisher not in (None, subjects.MATCHER):
            outcomes[subjects.outcome(MARKET, entry.publisher), _key(outcome_of(entry))] += 1
        for publisher, document in news_of(entry):
            outcomes[subjects.outcome(MARKET, publisher), _key(document)] += 1
        for member, document in results_of(entry):
            results[subjects.result(MARKET, member), _key(document)] += 1
    _same("results", _told(evidence.results, "results"), results)
    _same("outcomes", _told(evidence.outcomes, "outcomes"), outcomes)
    evidence.notes["results"] = results.total()


def _told(messages: list[Message], field: str) -> Counter[tuple[str, bytes]]:
    told: Counter[tuple[str, bytes]] = Counter()
    for message in messages:
        for document in json.loads(message.body).get(field, ()) if message.body else ():
            told[message.subject, _key(document)] += 1
    return told


def _same(what: str, told: Counter[tuple[str, bytes]], due: Counter[tuple[str, bytes]]) -> None:
    lost, too_often = due - told, told - due
    must(not lost, f"{lost.total()} {what} never told, the first {next(iter(lost), None)}")
    must(not too_often, f"{too_often.total()} {what} told too often, the first {next(iter(too_often), None)}")


def _key(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def the_ledger_holds_the_journal(arena: Arena, evidence: Evidence) -> None:
    """The archive holds the exact bytes of each record, once."""
    with arena.ledger() as store:
        archived = [(record.seq, bytes(record.body)) for record in store.records()]
    must(archived == [(seq, body) for seq, _, body in evidence.records], "the archive is not the journal")


def the_ledger_verifies(arena: Arena, evidence: Evidence) -> None:
    """`ledger verify` finds every hash, the chain, the index and the tree as they must be."""
    del evidence
    with arena.ledger() as store:
        fault = verify(store).fault
    must(fault is None, f"verify finds {fault}")


def the_ledger_adds_up(arena: Arena, evidence: Evidence) -> None:
    """`ledger audit` recounts everything and finds nothing."""
    del evidence
    with arena.ledger() as store:
        report = audit(store)
    must(report.clean, f"audit finds {[(str(name), each) for name, each in report.checks.items() if each.faults]}")


def deciding_again_leads_to_the_same(arena: Arena, evidence: Evidence) -> None:
    """`ledger replay --check` decides every input again and comes to the same bytes."""
    del evidence
    key = bytes.fromhex((arena.data / "keys" / f"market-{MARKET}.key").read_text())
    with arena.ledger() as store:
        report = replay_check(store, Source(Facts(market_key=key), pinned_zones()))
    must(report.is_same, f"replay finds {report}")


CHECKS: Final[tuple[Check, ...]] = (
    every_input_is_decided_once_and_in_order,
    acknowledged_events_have_one_outcome,
    one_identity_counts_once,
    no_group_is_overfilled,
    money_is_honoured_or_owed_back,
    every_result_and_outcome_is_told_once,
    the_ledger_holds_the_journal,
    the_ledger_verifies,
    the_ledger_adds_up,
    deciding_again_leads_to_the_same,
)
