"""The matcher's state as of an entry or a time, by applying the archived entries; and how two states differ."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events.record import decode_record
from services.bus import timezones
from services.ledger.chain import place_of_record
from services.ledger.faults import LedgerBroken
from services.ledger.history import Until
from services.ledger.lean import EntryPosition, name_of
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress
from services.matcher.domain import state as s
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, ZoneOffsets, Zones
from services.matcher.domain.fifo import Fifo

PictureKey = tuple[str, str]
"""(field of the state, key in it, "" where the field is one thing)."""
Picture = dict[PictureKey, bytes]
"""A state taken apart into what can be compared one by one."""

_PACKED: Final = ("marks", "paid_with", "ends_at")
"""Fields of an order that hold those of `_UNPACKED` in less room."""
_BOOKKEEPING: Final = frozenset({"now", "position", "decided", "counter", "identities", "holds", "blocks_by"})
_DERIVED: Final = frozenset({"filed", "no", "entry", "explicit", "editions", "weights", *_PACKED})
_UNPACKED: Final = ("quantity", "strangers", "merge", "leads", "prepaid", "payment", "hold_until", "ended_at")
_WORDS: Final[dict[tuple[str, str], dict[int, str]]] = {
    ("orders", "status"): {
        s.HELD: "held",
        s.CONFIRMED: "confirmed",
        s.FILLED: "filled",
        s.LOST: "lost",
        s.GONE: "gone",
        s.REFUNDED: "refunded",
    },
    ("groups", "status"): {
        s.OPEN: "open",
        s.GROUP_FILLED: "filled",
        s.EXPIRED: "expired",
        s.DISSOLVED: "dissolved",
        s.MERGED: "merged",
    },
}
_ORDER: Final = s.Order(order="", member="", publisher="", group="", status=s.CONFIRMED, entry=0)
"""What an order is unless it says otherwise."""
_encode: Final = msgspec.msgpack.Encoder().encode


class _Place(msgspec.Struct, gc=False):
    """Where and when an entry stands, and no more of it."""

    seq: int
    index: int
    part: int
    at: int

    @property
    def position(self) -> EntryPosition:
        return self.seq, self.index, self.part


class _Places(msgspec.Struct, gc=False):
    """The places of a record's entries."""

    entries: list[_Place]


_places: Final = msgspec.json.Decoder(_Places)


class ArchivedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry's place, its bytes, and the record that it stands in."""

    position: EntryPosition
    at_ns: int
    raw: bytes
    record: int


class Change(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something in the state that is not what it was; `before` and `after` hold only the fields that differ."""

    what: str
    name: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def new_engine(market: str) -> Engine:
    """Return an engine without a history. Applying entries takes no secrets, but days end by the time zones."""
    zones = Zones(timezones.VERSION, timezones.names(), timezones.file, _offsets)
    return Engine(market, Facts(market_key=bytes(32)), zones)


def _offsets(name: str) -> ZoneOffsets:
    return ZoneOffsets(*timezones.offsets(name))


def entries_after(store: LedgerStore, after_record: int = 0) -> Iterator[ArchivedEntry]:
    """Yield entries in order, a few MiB of them at a time."""
    for record in store.records(after_record):
        try:
            places = _places.decode(record.body).entries
            raws = decode_record(record.body).entries
        except (msgspec.DecodeError, ValueError) as error:
            raise LedgerBroken(place_of_record(record.seq), f"it cannot be read: {error}; run `verify`") from None
        for place, raw in zip(places, raws, strict=True):
            yield ArchivedEntry(place.position, place.at, bytes(raw), record.seq)


def cannot_apply(position: EntryPosition, error: Exception) -> LedgerBroken:
    """Return what is wrong with an entry that does not follow from those before it."""
    what = f"{type(error).__name__}: {str(error)[:200] or 'no more is known'}"
    return LedgerBroken(
        f"entry {name_of(position)}", f"it cannot follow what is archived before it ({what}): run `verify`"
    )


def is_within(entry: ArchivedEntry, until: Until) -> bool:
    """Tell whether an entry belongs to what `until` says."""
    if until.position is not None:
        return entry.position <= until.position
    return until.at_ns is None or entry.at_ns <= until.at_ns


class Evolving:
    """An engine that follows an archive as far as it is told to, and never back."""

    def __init__(self, store: LedgerStore, progress: Progress | None = None) -> None:
        self.engine = new_engine(store.market)
        self._entries = entries_after(store)
        self._next = next(self._entries, None)
        self._total = store.tip.entries if store.tip is not None else 0
        self._progress = progress
        self.applied = 0

    def _apply(self, entry: ArchivedEntry) -> None:
        try:
            self.engine.evolve(entry.raw)
        # Whatever a history that was tampered with makes of the state, it is a finding and no traceback.
        except Exception as error:
            raise cannot_apply(entry.position, error) from error

    def to(self, until: Until) -> Iterator[ArchivedEntry]:
        """Apply the entries up to and including `until`; yield each after it has been applied."""
        while self._next is not None and is_within(self._next, until):
            applied = self._next
            self._apply(applied)
            self.applied += 1
            if self._progress is not None and self.applied % 1_000 == 0:
                self._progress(self.applied, self._total)
            self._next = next(self._entries, None)
            yield applied


def picture(state: s.State) -> Picture:
    """Take a state apart. What only serves the program, its memory of ids and its queues, is left out."""
    taken: Picture = {}
    for field in state.__struct_fields__:
        if field not in _BOOKKEEPING:
            _take(taken, field, getattr(state, field))
    return taken


def _take(taken: Picture, field: str, value: Any) -> None:
    if isinstance(value, Fifo) or value is None:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            taken[field, str(key)] = _encode(each)
    elif isinstance(value, msgspec.Struct) and field != "market":
        # A family's own part of the state.
        for inner in value.__struct_fields__:
            _take(taken, f"{field}.{inner}", getattr(value, inner))
    else:
        taken[field, ""] = _encode(value)


def changes(before: Picture, after: Picture) -> Iterator[Change]:
    """Yield what differs between two states, in the order of the first and then what only the second has."""
    for key, value in before.items():
        if (now := after.get(key)) != value:
            yield from _change(key, value, now)
    for key, value in after.items():
        if key not in before:
            yield from _change(key, None, value)


def _change(key: PictureKey, before: bytes | None, after: bytes | None) -> Iterator[Change]:
    was, now = _readable(key[0], before), _readable(key[0], after)
    if was is not None and now is not None:
        differing = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        if not differing:
            return
        was = {name: was[name] for name in differing if name in was}
        now = {name: now[name] for name in differing if name in now}
    yield Change(what=_singular(key[0]), name=key[1], before=was, after=now)


def _readable(field: str, packed: bytes | None) -> dict[str, Any] | None:
    if packed is None:
        return None
    value = msgspec.msgpack.decode(packed)
    if not isinstance(value, dict):
        return {"value": value}
    kept = {name: each for name, each in value.items() if name not in _DERIVED}
    if field == "orders":
        order = msgspec.convert(value, s.Order)
        kept |= {name: each for name in _UNPACKED if (each := getattr(order, name)) != getattr(_ORDER, name)}
    for name, words in ((name, words) for (of, name), words in _WORDS.items() if of == field):
        # A default is left out of what is packed.
        kept[name] = words.get(kept.get(name, s.OPEN), kept.get(name))
    return kept


def _singular(field: str) -> str:
    return field.removesuffix("s") if field != "market" else field
