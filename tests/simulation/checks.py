"""What must be true at the end of a simulation, each check over the whole history; they find, they never mend."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from events import subjects
from events.decode import Unreadable, split_message
from events.outcomes import news_of, outcome_of, results_of
from events.record import GENESIS, Entry, Record, decode_entry, decode_record, hash_bytes
from services.ledger.audit import audit
from services.ledger.store import LedgerStore
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests.model.auditor import Auditor
from tests.simulation.streams import Stored, Stream, parse_head

if TYPE_CHECKING:
    from tests.simulation.world import World

MARKET: Final = "main"
KEY: Final = b"k" * 32


class Violation(AssertionError):
    """A promise that did not hold."""


class Journal(NamedTuple):
    """The journal, read once for all checks."""

    messages: list[Stored]
    records: list[Record]
    entries: list[Entry]
    raws: list[bytes]


def read_journal(world: "World") -> Journal:
    """Return the journal without its strays. Raises Violation where it is no chain."""
    messages = [one for one in _stream(world, subjects.journal_stream(MARKET)).messages if _is_record(one)]
    records, prev = [], GENESIS
    for message in messages:
        record = decode_record(message.body)
        _must(record.prev == prev, f"record {message.seq} follows {record.prev[:12]}, not {prev[:12]}")
        prev = hash_bytes(message.body)
        records.append(record)
    raws = [bytes(raw) for record in records for raw in record.entries]
    return Journal(messages, records, [decode_entry(raw) for raw in raws], raws)


def _is_record(message: Stored) -> bool:
    return parse_head(message.head).get("Nats-Msg-Id") == hash_bytes(message.body) if message.head else False


def _stream(world: "World", name: str) -> Stream:
    return world.broker.store.streams[name]


def _must(holds: object, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)


# The checks


def every_input_has_one_outcome(world: "World", journal: Journal) -> None:
    """Each event in the intake has exactly one entry that answers it, in order, and nothing else has."""
    answered = Counter((entry.seq, entry.index) for entry in journal.entries if entry.publisher is not None)
    expected = [(seq, index) for seq, events in _inputs(world) for index in range(events)]
    doubled = [place for place, times in answered.items() if times > 1]
    _must(not doubled, f"answered twice: {doubled[:3]}")
    missing = [place for place in expected if place not in answered]
    _must(not missing, f"not answered: {missing[:3]} of {len(missing)}")
    _must(len(answered) == len(expected), "an outcome without an input")
    order = [(entry.seq, entry.index, entry.part) for entry in journal.entries]
    _must(order == sorted(order), "entries are not in order")


def _inputs(world: "World") -> Iterator[tuple[int, int]]:
    for message in _stream(world, subjects.intake_stream(MARKET)).history:
        try:
            yield message.seq, len(split_message(message.body))
        except Unreadable:
            yield message.seq, 1


def seats_stock_and_money_add_up(world: "World", journal: Journal) -> None:
    """The books kept from the entries alone balance: positions, ends of groups, payments against refunds."""
    del world
    auditor = Auditor()
    entries = []
    for entry in journal.entries:
        fields: dict[str, Any] = {"seq": entry.seq, "index": entry.index, "part": entry.part, "at": entry.at}
        if entry.publisher is not None:
            fields["publisher"] = entry.publisher
        if entry.event is not None:
            fields["event"] = bytes(entry.event)
        entries.append({**fields, "decisions": msgspec.to_builtins(entry.decisions)})
    try:
        auditor.follow(entries)
    except AssertionError as error:
        raise Violation(f"the books: {error}") from None
    for money, amount in auditor.paid_in.items():
        elsewhere = auditor.refunded[money] + auditor.seated[money]
        _must(amount == elsewhere, f"{money}: {amount} came in, {elsewhere} is refunded or seated")


def deadlines_are_kept(world: "World", journal: Journal) -> None:
    """Nobody gets a seat in a group at or after its deadline, and no group fills then but by what was in it."""
    del world
    deadlines: dict[str, int] = {}
    for entry in journal.entries:
        for decision in entry.decisions:
            kind = decision.__struct_config__.tag
            if kind == "group.opened":
                deadlines[decision.group] = decision.deadline
            if kind in ("seat.held", "seat.confirmed") and entry.publisher is not None:
                _must(entry.at < deadlines[decision.group], f"{decision.group}: a seat at its deadline")
            if kind == "group.filled" and decision.cause == "target":
                _must(entry.at < deadlines[decision.group], f"{decision.group}: filled after its deadline")
            if kind == "group.expired" and decision.page == 1:
                _must(entry.at >= deadlines[decision.group], f"{decision.group}: expired before its deadline")


def deciding_again_leads_to_the_same(world: "World", journal: Journal) -> None:
    """An engine that was never interrupted decides the same entries from the intake, byte for byte."""
    engine = Engine(MARKET, Facts(KEY), pinned_zones())
    again: list[bytes] = []
    for message in _stream(world, subjects.intake_stream(MARKET)).history:
        tokens = message.subject.split(".")
        again += engine.process(Message(message.seq, message.at_ns, tokens[3], tokens[4], message.body))
    for place, (was, now) in enumerate(zip(journal.raws, again, strict=False)):
        _must(was == now, f"entry {place} was decided as {was[:300]!r}, is now {now[:300]!r}")
    _must(len(again) == len(journal.raws), f"{len(journal.raws)} entries were decided, {len(again)} are now")


def the_ledger_holds_the_journal(world: "World", journal: Journal) -> None:
    """The archive holds each record's exact bytes once, and its own recount finds nothing."""
    with _ledger(world) as store:
        archived = [(record.seq, bytes(record.body)) for record in store.records()]
        _must(archived == [(one.seq, one.body) for one in journal.messages], "the archive is not the journal")
        report = audit(store)
    faults = {str(check): result for check, result in report.checks.items() if result.faults}
    _must(report.clean, f"the audit finds {faults}")


def _ledger(world: "World") -> LedgerStore:
    identity = _stream(world, subjects.journal_stream(MARKET)).config["metadata"][subjects.IDENTITY_METADATA]
    return LedgerStore.open("sqlite:", MARKET, data_dir=world.folder / "ledger", identity=identity, market_key=KEY)


def everybody_is_told_once(world: "World", journal: Journal) -> None:
    """The output streams hold each outcome and each result once, in order, and nothing else."""
    outcomes: dict[str, list[bytes]] = {}
    results: dict[str, list[bytes]] = {}
    for entry in journal.entries:
        # The matcher's own knocks interest nobody.
        if entry.publisher not in (None, subjects.MATCHER):
            outcomes.setdefault(subjects.outcome(MARKET, entry.publisher), []).append(_key(outcome_of(entry)))
        for publisher, document in news_of(entry):
            outcomes.setdefault(subjects.outcome(MARKET, publisher), []).append(_key(document))
        for member, document in results_of(entry):
            results.setdefault(subjects.result(MARKET, member), []).append(_key(document))
    _same(_told(_stream(world, subjects.outcomes_stream(MARKET)), "outcomes"), outcomes)
    _same(_told(_stream(world, subjects.results_stream(MARKET)), "results"), results)


def _key(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _told(stream: Stream, field: str) -> dict[str, list[bytes]]:
    told: dict[str, list[bytes]] = {}
    for message in stream.messages:
        for document in json.loads(message.body).get(field, ()) if message.body else ():
            told.setdefault(message.subject, []).append(_key(document))
    return told


def _same(told: dict[str, list[bytes]], due: dict[str, list[bytes]]) -> None:
    for subject in sorted({*told, *due}):
        was, should = told.get(subject, []), due.get(subject, [])
        lost, twice = Counter(should) - Counter(was), Counter(was) - Counter(should)
        _must(not lost, f"{subject}: {lost.total()} never told, the first {next(iter(lost), b'')[:200]!r}")
        _must(not twice, f"{subject}: {twice.total()} told too often, the first {next(iter(twice), b'')[:200]!r}")


def promises_to_publishers_hold(world: "World", journal: Journal) -> None:
    """What was acknowledged is in the intake and decided; what was answered is what the journal says."""
    by_place = {(entry.seq, entry.index): entry for entry in journal.entries if entry.publisher is not None}
    for publisher, events, seq in world.promises.stored:
        for index, event in enumerate(events):
            entry = by_place.get((seq, index))
            _must(entry is not None, f"event {event['id']} of {publisher} was acknowledged at {seq} and not decided")
            assert entry is not None
            _must(entry.publisher == publisher, f"{seq}.{index} was decided for {entry.publisher}")
    named = {f"{e.seq}.{e.index}.{e.part}": e for e in journal.entries}
    for _, event, outcome in world.promises.outcomes:
        entry = named.get(outcome["entry"])
        _must(entry is not None, f"{event['id']} was answered with entry {outcome['entry']}, which there is not")
        assert entry is not None
        _must(_key(outcome_of(entry, event["id"])) == _key(outcome), f"{event['id']} was told {outcome}")


def accepted_events_count_once(world: "World", journal: Journal) -> None:
    """One identity is decided once; every other time it is a duplicate or refused as reused."""
    del world
    first: dict[tuple[str, str, str], bytes] = {}
    for entry in journal.entries:
        if entry.event is None or entry.publisher is None or b"clock.ticked" in bytes(entry.event)[:200]:
            continue
        event = json.loads(bytes(entry.event))
        kind = entry.decisions[0].__struct_config__.tag
        identity = (entry.publisher, event["source"], event["id"])
        if kind == "duplicate":
            _must(first.get(identity) == bytes(entry.event), f"{identity} is a duplicate of nothing like it")
        elif kind != "refused":
            _must(identity not in first, f"{identity} was decided twice")
            first[identity] = bytes(entry.event)
        elif entry.decisions[0].reason == "id_reused":
            _must(first.get(identity, b"") not in (b"", bytes(entry.event)), f"{identity} is refused as nobody's reuse")
        elif entry.decisions[0].reason not in _FORGOTTEN:
            first.setdefault(identity, bytes(entry.event))


_FORGOTTEN: Final = ("id_reused", "too_old", "from_the_future", "capacity", "wrong_family", "publisher_not_allowed")

CHECKS: Final[tuple[Callable[["World", Journal], None], ...]] = (
    every_input_has_one_outcome,
    seats_stock_and_money_add_up,
    deadlines_are_kept,
    accepted_events_count_once,
    deciding_again_leads_to_the_same,
    the_ledger_holds_the_journal,
    everybody_is_told_once,
    promises_to_publishers_hold,
)
