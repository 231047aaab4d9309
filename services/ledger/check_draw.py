"""`ledger check-draw`: what was cut and drawn is cut and drawn again, from the seed that the closing showed."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from events import decisions as d
from events import play_decisions as p
from events.decode import decode_archived
from events.play import PlayOpened, PlayOpenedEvent
from events.record import BadRecord, Entry, decode_entry, entry_id
from events.undecodable import UNDECODABLE
from services.ledger.check_cuts import BargainCheck, FormCheck, LotteryCheck, OtherCheck, UnlockCheck
from services.ledger.draw_rules import TicketList, sha256_hex
from services.ledger.faults import BadQuestion, NotFound
from services.ledger.history import entries_of
from services.ledger.store import LedgerStore

FORMAT: Final = "groupbuy-draw-v1"
_FORMS: Final[dict[str, type[FormCheck]]] = {"bargain": BargainCheck, "lottery": LotteryCheck, "unlock": UnlockCheck}
Entries = Callable[[], Iterable[Entry]]
"""The entries that concern a play or group, in order; as often as they are asked for."""


class DrawFault(msgspec.Struct, frozen=True):
    """What is not as the seed and the rules have it: the entry and a sentence."""

    entry: str
    sentence: str


class DrawReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was made again, and where it differs."""

    market: str
    play: str | None = None
    group: str | None = None
    form: str
    agrees: bool
    seed: str
    seed_sha256: str
    figures: dict[str, Any]
    faults: list[DrawFault]


class DrawFile(msgspec.Struct, kw_only=True):
    """What somebody else needs to check a draw: the entries that concern it, as they are archived."""

    format: str
    market: str
    name: str
    entries: list[msgspec.Raw]


def entries_in_ledger(store: LedgerStore, name: str) -> Entries:
    """Return the entries of the play or group `name`. Raises NotFound when there is neither."""
    for kind in ("play", "group"):
        if next(iter(store.find(kind, name)), None) is not None:
            return lambda: (found.entry for found in entries_of(store, kind, name))
    raise NotFound(f"the ledger knows no play and no group {name}")


def export(store: LedgerStore, name: str) -> DrawFile:
    """Return the entries of the play or group `name` for a file. Raises NotFound when there is neither."""
    for kind in ("play", "group"):
        found = [msgspec.Raw(found.raw) for found in entries_of(store, kind, name)]
        if found:
            return DrawFile(format=FORMAT, market=store.market, name=name, entries=found)
    raise NotFound(f"the ledger knows no play and no group {name}")


def read_file(content: bytes) -> tuple[str, str, Entries]:
    """Return (market, name, entries) of an exported file. Raises BadQuestion when it is none."""
    try:
        file = msgspec.json.decode(content, type=DrawFile)
        entries = [decode_entry(raw) for raw in file.entries]
    except (*UNDECODABLE, BadRecord) as error:
        raise BadQuestion(f"this is no file that `check-draw --export` has written: {error}") from None
    if file.format != FORMAT:
        raise BadQuestion(f"the file has the format {file.format[:40]!r}, expected {FORMAT!r}")
    return file.market, file.name, lambda: entries


def check_draw(market: str, name: str, entries: Entries) -> DrawReport:
    """Make every cut and draw of the play or group `name` again and compare.

    Raises NotFound when the entries do not hold its opening and its end: until then the seed is not known.
    """
    for entry in entries():
        for decision in entry.decisions:
            if isinstance(decision, p.PlayOpened) and decision.play == name:
                return _check_play(market, name, entries)
            if isinstance(decision, d.GroupOpened) and decision.group == name:
                return _check_group(market, name, entries)
    raise NotFound(f"{name} was not opened in these entries")


# Plays


def _check_play(market: str, name: str, entries: Entries) -> DrawReport:
    closed = next((x for x in _decisions(entries(), name) if isinstance(x, p.PlayClosed)), None)
    if closed is None:
        raise NotFound(f"play {name} is open: its seed is shown when it closes, and only then can it be checked")
    seed = bytes.fromhex(closed.seed)
    faults: list[DrawFault] = []
    check: FormCheck | None = None
    opened: p.PlayOpened | None = None
    for entry in entries():
        for decision in entry.decisions:
            if getattr(decision, "play", None) != name:
                continue
            if isinstance(decision, p.PlayOpened):
                opened, check = decision, _form_check(seed, entry, decision)
            assert check is not None, "the opening comes first"
            faults += [DrawFault(_name(entry), sentence) for sentence in check.follow(entry, decision)]
    assert opened is not None and check is not None
    if sha256_hex(seed) != opened.seed_sha256:
        faults.insert(0, DrawFault("", f"the seed is not the one committed to: SHA-256 is {sha256_hex(seed)}"))
    faults += [DrawFault("", sentence) for sentence in check.missing()]
    return DrawReport(
        market=market,
        play=name,
        form=closed.form,
        agrees=not faults,
        seed=closed.seed,
        seed_sha256=opened.seed_sha256,
        figures=check.figures(),
        faults=faults,
    )


def _form_check(seed: bytes, entry: Entry, opened: p.PlayOpened) -> FormCheck:
    return _FORMS.get(opened.form, OtherCheck)(seed, _opening_data(entry), opened)


def _opening_data(entry: Entry) -> PlayOpened:
    event = None if entry.event is None else decode_archived(entry.event)
    if not isinstance(event, PlayOpenedEvent):
        raise BadQuestion(f"entry {_name(entry)} opens a play, but its event does not say so")
    return event.data


def _decisions(entries: Iterable[Entry], play: str) -> Iterator[d.AnyDecision]:
    return (x for entry in entries for x in entry.decisions if getattr(x, "play", None) == play)


# Groups whose winners are drawn


def _check_group(market: str, name: str, entries: Entries) -> DrawReport:
    commitment, seed = "", None
    seats = TicketList()
    won: list[str] = []
    faults: list[DrawFault] = []
    for entry in entries():
        for decision in entry.decisions:
            if isinstance(decision, d.GroupOpened) and decision.group == name:
                commitment = decision.seed_sha256 or ""
            elif isinstance(decision, d.GroupFilled) and decision.group == name:
                seed = decision.seed
                for seat in decision.seats:
                    seats.seat(seat.order)
                won += [seat.order for seat in decision.seats if seat.won]
    if not commitment:
        raise NotFound(f"nothing is drawn in group {name}: everybody in it gets the price")
    if seed is None:
        raise NotFound(f"group {name} is not filled: its seed is shown when it fills, and only then can it be checked")
    if sha256_hex(bytes.fromhex(seed)) != commitment:
        faults.append(DrawFault("", "the seed is not the one committed to when the group opened"))
    again = seats.draw(bytes.fromhex(seed), len(won), many=False)
    if set(again) != set(won):
        faults.append(DrawFault("", f"drawn are {', '.join(sorted(again))}; told was {', '.join(sorted(won))}"))
    return DrawReport(
        market=market,
        group=name,
        form="drawn_group",
        agrees=not faults,
        seed=seed,
        seed_sha256=commitment,
        figures={"seats": len(seats.tickets), "winners": again, "list_sha256": seats.digest},
        faults=faults,
    )


def _name(entry: Entry) -> str:
    return entry_id(entry.seq, entry.index, entry.part)
