"""Whether a record follows the one before it: hash chain, positions without gaps, time that never goes back."""

import msgspec

from events.counted import counted
from events.market_decisions import MarketRestored
from events.record import GENESIS, BadRecord, Entry, Through, decode_entry, decode_record, hash_bytes
from events.subjects import OPERATOR
from services.ledger.faults import LedgerBroken
from services.ledger.lean import EntryPosition, LeanRecord, decode_lean_record, name_of


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """The last record of a ledger and what the next one must fit onto.

    `seq` is its sequence in the journal, `position` that of its last entry, `at_ns` the accepted time of that
    entry, `entries` how many entries the ledger holds up to here. `intake` is the stream that it was decided from, the
    last one that follows from the chain: another one does with the entry in which an operator says so.
    """

    seq: int
    hash: str
    position: EntryPosition
    at_ns: int
    entries: int
    intake: str
    through: Through


def place_of_record(seq: int) -> str:
    """Return how a record is named in sentences."""
    return f"record {seq}"


def tip_after(tip: Tip | None, market: str, seq: int, record_hash: str, body: bytes) -> tuple[Tip, LeanRecord]:
    """Return the tip after the record in `body`, and the record itself; `tip` None stands before the first.

    Raises LedgerBroken, with the place, when the record does not follow.
    """
    place = place_of_record(seq)
    record = decode_lean_record(body, place)
    if record.market != market:
        raise LedgerBroken(place, f"it belongs to market {record.market}, this ledger to {market}")
    _check_chain(tip, record, seq)
    _check_positions(tip, record, place)
    last = record.entries[-1]
    entries = len(record.entries) + (tip.entries if tip is not None else 0)
    return (
        Tip(
            seq=seq,
            hash=record_hash,
            position=last.position,
            at_ns=last.at,
            entries=entries,
            intake=record.intake if tip is None else _intake_after(tip, record, seq, body),
            through=record.through,
        ),
        record,
    )


def tip_of(seq: int, first_leaf: int, body: bytes) -> Tip:
    """Return the tip that the archived record `seq` is, before which `first_leaf` entries stand."""
    record = decode_lean_record(body, place_of_record(seq))
    last = record.entries[-1]
    return Tip(
        seq=seq,
        hash=hash_bytes(body),
        position=last.position,
        at_ns=last.at,
        entries=first_leaf + len(record.entries),
        intake=record.intake,
        through=record.through,
    )


def _check_chain(tip: Tip | None, record: LeanRecord, seq: int) -> None:
    place = place_of_record(seq)
    if tip is None:
        if record.prev != GENESIS:
            raise LedgerBroken(
                place, f"the ledger is empty, but this record follows another, {record.prev[:16]}: those before it miss"
            )
        return
    if seq <= tip.seq:
        raise LedgerBroken(place, f"it comes after record {tip.seq}: the order is wrong")
    if record.prev != tip.hash:
        raise LedgerBroken(
            place,
            f"it names {record.prev[:16]} as the record before it, but that is {tip.hash[:16]} (record {tip.seq}): "
            "a record was changed, is missing, or stands in the wrong place",
        )


def _intake_after(tip: Tip, record: LeanRecord, seq: int, body: bytes) -> str:
    """Return the intake that the ledger knows of after a record.

    Another one than before is taken at an operator's word alone, which is its first input; work that was due before
    that may fill a record of its own.
    """
    if record.intake == tip.intake:
        return tip.intake
    for raw in _entries_of(body, seq):
        entry = decode_entry(raw)
        if entry.publisher is None and (entry.seq, entry.index) == (record.entries[0].seq, 0):
            continue
        if entry.publisher == OPERATOR and _puts_in_place(entry, tip.intake, record.intake):
            return record.intake
        break
    else:
        return tip.intake
    raise LedgerBroken(
        place_of_record(seq),
        f"it was decided from intake stream {record.intake[:16]}, those before from {tip.intake[:16]}, and it does not "
        "begin with an operator's word that the one takes the place of the other",
    )


def _puts_in_place(entry: Entry, previous: str, intake: str) -> bool:
    """Tell whether an entry says that one intake takes the place of another."""
    decision = entry.decisions[0]
    return isinstance(decision, MarketRestored) and (decision.previous, decision.intake) == (previous, intake)


def _entries_of(body: bytes, seq: int) -> list[msgspec.Raw]:
    try:
        return decode_record(body).entries
    except BadRecord as error:
        raise LedgerBroken(place_of_record(seq), str(error)) from None


def _check_positions(tip: Tip | None, record: LeanRecord, place: str) -> None:
    at_ns = tip.at_ns if tip is not None else 0
    first = record.entries[0]
    if not (_may_begin(first.position) if tip is None else _may_follow(tip, first.position, record.intake)):
        raise LedgerBroken(
            place,
            f"its first entry is {name_of(first.position)}, "
            + (
                f"after {name_of(tip.position)}" if tip is not None else "the very first must be the first of a message"
            ),
        )
    seq, index, part = first.seq, first.index, first.part - 1
    for entry in record.entries:
        if entry.seq == seq and entry.index == index:
            follows = entry.part == part + 1
        elif entry.seq == seq:
            follows = entry.index == index + 1 and entry.part == 0
        else:
            follows = entry.seq == seq + 1 and entry.index == 0 and entry.part == 0
            follows = follows and (tip is None or seq != tip.through.seq or index + 1 == tip.through.events)
        if not follows:
            raise LedgerBroken(
                place,
                f"entry {name_of(entry.position)} follows {name_of((seq, index, part))}: entries between are missing",
            )
        if entry.at < at_ns:
            raise LedgerBroken(place, f"entry {name_of(entry.position)} was accepted before the one before it")
        at_ns = entry.at
        seq, index, part = entry.position
    _check_through(tip, record, place)


def _may_begin(position: EntryPosition) -> bool:
    seq, index, part = position
    return seq >= 1 and index == 0 and part == 0


def _may_follow(tip: Tip, position: EntryPosition, intake: str) -> bool:
    seq, index, part = tip.position
    # With the intake, the rest of its last message is lost.
    if index + 1 < tip.through.events and intake == tip.intake:
        return position in ((seq, index, part + 1), (seq, index + 1, 0))
    return position in ((seq, index, part + 1), (seq + 1, 0, 0))


def _check_through(tip: Tip | None, record: LeanRecord, place: str) -> None:
    """Check what the record says of the last message it covers against its entries and the record before."""
    last, through = record.entries[-1], record.through
    if last.seq != through.seq or last.index >= through.events:
        raise LedgerBroken(
            place,
            f"it says that it reaches into message {through.seq} of {counted(through.events, 'event')}, "
            f"but its last entry is {name_of(last.position)}",
        )
    if tip is not None and through.seq == tip.through.seq and through != tip.through:
        raise LedgerBroken(place, f"it describes message {through.seq} otherwise than record {tip.seq} does")
