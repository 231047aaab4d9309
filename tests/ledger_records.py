"""Journals for tests: valid records, chained, out of decisions; every part of them open to be made wrong."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from events import decisions as d
from events.decisions import AnyDecision
from events.record import GENESIS, Entry, Record, Through, encode_entry, encode_record, hash_bytes
from services.ledger.store import LedgerStore
from tests.builders import OFFER, T0, JsonEvent, S, encode, joined, market, offer, payment, posted

MARKET = "main"
INTAKE = "intake-of-the-tests"
JOURNAL = "journal-of-the-tests"
SHOP = "shop-a"


class BuiltRecord(msgspec.Struct, frozen=True):
    """A record as a follower would hand it over."""

    seq: int
    at_ns: int
    hash: str
    body: bytes


class JournalBuilder:
    """Collects entries and seals them into records; each input is an intake message of its own unless batched.

    `due` adds timer work that precedes the next input, `input` the answer to an event, `page` timer work that
    follows it, `seal` makes a record of what was added since the last one.
    """

    def __init__(self, market: str = MARKET, intake: str = INTAKE) -> None:
        self.market = market
        self.intake = intake
        self.records: list[BuiltRecord] = []
        self.at_ns = T0
        self._entries: list[Entry] = []
        self._seq = 0
        self._index = 0
        self._part = 0
        self._events = 1
        self._answered = True
        self._strays = 0

    def wait(self, seconds: float) -> "JournalBuilder":
        """Let time pass before the next entry."""
        self.at_ns += int(seconds * S)
        return self

    def message(self, events: int) -> "JournalBuilder":
        """Begin a batch of `events` events: the next inputs are in it."""
        self._seq, self._index, self._part, self._events = self._seq + 1, 0, 0, events
        self._answered = False
        return self

    def due(self, *decisions: AnyDecision) -> "JournalBuilder":
        """Add a piece of timer work that is done before the next input."""
        self._begin()
        return self._add(None, None, decisions)

    def input(
        self, *decisions: AnyDecision, event: JsonEvent | bytes | None = None, publisher: str | None = SHOP
    ) -> "JournalBuilder":
        """Add the entry that answers an event."""
        self._begin()
        raw = encode(event, self.at_ns) if isinstance(event, dict) else event
        self._answered = True
        return self._add(publisher, raw, decisions)

    def page(self, *decisions: AnyDecision) -> "JournalBuilder":
        """Add a piece of timer work that the last input caused."""
        return self._add(None, None, decisions)

    def again(self, *decisions: AnyDecision) -> "JournalBuilder":
        """Add a second outcome of the last input, which no matcher does."""
        return self._add(SHOP, None, decisions)

    def skip(self, messages: int = 1) -> "JournalBuilder":
        """Leave out intake messages, which no matcher does."""
        self._seq += messages
        return self

    def seal(self) -> "JournalBuilder":
        """Make a record of the entries added since the last one."""
        assert self._entries, "a record has entries"
        last = self._entries[-1]
        through = Through(seq=last.seq, events=self._events, at=last.at, hash=hash_bytes(str(last.seq).encode()))
        record = Record(
            v=1,
            market=self.market,
            prev=self.records[-1].hash if self.records else GENESIS,
            intake=self.intake,
            rule=1,
            through=through,
            entries=[msgspec.Raw(encode_entry(entry)) for entry in self._entries],
        )
        self._entries = []
        return self.add(encode_record(record))

    def add(self, body: bytes) -> "JournalBuilder":
        """Add a record of these very bytes."""
        self.records.append(BuiltRecord(self._next_record, self.at_ns, hash_bytes(body), body))
        self._strays = 0
        return self

    def stray(self, messages: int = 1) -> "JournalBuilder":
        """Let messages that are no records lie in the journal before the next record."""
        self._strays += messages
        return self

    @property
    def last_entry(self) -> str:
        """Name of the entry added last."""
        return f"{self._seq}.{self._index}.{self._part - 1}"

    @property
    def _next_record(self) -> int:
        return (self.records[-1].seq if self.records else 0) + 1 + self._strays

    def _begin(self) -> None:
        """Move on to the next input when the last one has been answered."""
        if not self._answered:
            return
        self._answered = False
        self._part = 0
        if self._seq and self._index + 1 < self._events:
            self._index += 1
        else:
            self._seq, self._index, self._events = self._seq + 1, 0, 1

    def _add(self, publisher: str | None, event: bytes | None, decisions: tuple[AnyDecision, ...]) -> "JournalBuilder":
        self._entries.append(
            Entry(
                seq=self._seq,
                index=self._index,
                part=self._part,
                at=self.at_ns,
                publisher=publisher,
                event=msgspec.Raw(event) if event is not None else None,
                decisions=list(decisions),
            )
        )
        self._part += 1
        return self


def changed(record: BuiltRecord, **fields: Any) -> BuiltRecord:
    """Return a record with some fields of its body replaced, hashed anew."""
    document = json.loads(record.body) | fields
    body = json.dumps(document, separators=(",", ":")).encode()
    return BuiltRecord(record.seq, record.at_ns, hash_bytes(body), body)


def open_store(data_dir: Path, url: str = "sqlite:", **settings: Any) -> LedgerStore:
    """Open the ledger of the tests' journal."""
    return LedgerStore.open(url, MARKET, data_dir=data_dir, **{"identity": JOURNAL, **settings})


# Decisions with sensible defaults, about offer `tea`: groups of two at 80.00 CNY

DEADLINE: Final = T0 + 3_600 * S


def opened(group: str, order: str, **fields: Any) -> d.GroupOpened:
    """A group is open for an hour after the tests began."""
    named = {"group": group, "offer": OFFER, "edition": 1, "order": order, "member": f"of-{order}"}
    return d.GroupOpened(**{**named, "deadline": DEADLINE, **fields})


def held(group: str, order: str, **fields: Any) -> d.SeatHeld:
    """A seat waits for its payment."""
    return d.SeatHeld(**{**_seat(group, order), "hold_until": T0 + 900 * S, **fields})


def confirmed(group: str, order: str, payment: str | None = None, **fields: Any) -> d.SeatConfirmed:
    """A seat is paid, by default with the payment that is named after the order."""
    return d.SeatConfirmed(**{**_seat(group, order), "payment": payment or f"pay-{order}", **fields})


def released(group: str, order: str, cause: Any = "withdrawn", **fields: Any) -> d.SeatReleased:
    """A seat is free again."""
    return d.SeatReleased(group=group, order=order, member=f"of-{order}", cause=cause, publisher=SHOP, **fields)


def seat_refs(*orders: str, price_minor: int = 8_000) -> list[d.SeatRef]:
    """The seats that a closing names."""
    return [d.SeatRef(order=o, member=f"of-{o}", publisher=SHOP, price_minor=price_minor) for o in orders]


def filled(group: str, *orders: str, price_minor: int = 8_000, **fields: Any) -> d.GroupFilled:
    """A group is full."""
    seats = seat_refs(*orders, price_minor=price_minor)
    return d.GroupFilled(
        **{"group": group, "offer": OFFER, "cause": "target", "size": len(seats), "seats": seats, **fields}
    )


def expired(group: str, *orders: str, **fields: Any) -> d.GroupExpired:
    """A group's deadline came first."""
    seats = seat_refs(*orders, price_minor=0)
    return d.GroupExpired(**{"group": group, "offer": OFFER, "missing": 2 - len(orders), "seats": seats, **fields})


def refund_due(order: str, refund: str | None = None, amount_minor: int = 8_000, **fields: Any) -> d.RefundDue:
    """The payment named after the order goes back."""
    named = {"refund": refund or f"r-{order}", "order": order, "payment": f"pay-{order}", "amount_minor": amount_minor}
    return d.RefundDue(**{**named, "currency": "CNY", "cause": "expired", "publisher": SHOP, **fields})


def refund_closed(order: str, status: Any = "settled", refund: str | None = None, **fields: Any) -> d.RefundClosed:
    """The payment backend answers."""
    named = {"refund": refund or f"r-{order}", "status": status, "order": order}
    return d.RefundClosed(**{**named, "amount_minor": 8_000, "currency": "CNY", **fields})


def open_market(**offer_fields: Any) -> JournalBuilder:
    """Begin a journal: a market in which shop-a sells tea."""
    journal = JournalBuilder()
    journal.input(d.MarketSet(rule_version=1, tzdata="2026a"), event=market(), publisher="operator")
    stock = offer_fields.get("skus") or ({"": offer_fields["stock"]} if "stock" in offer_fields else None)
    return journal.input(d.OfferListed(offer=OFFER, edition=1, stock=stock), event=offer(**offer_fields))


def paid_post(journal: JournalBuilder, group: str, order: str, **fields: Any) -> JournalBuilder:
    """Add an order that opens a group and is paid beforehand."""
    return journal.input(
        opened(group, order),
        confirmed(group, order, **fields),
        event=posted(order, f"of-{order}", payment=paid_with(order)),
    )


def paid_join(journal: JournalBuilder, group: str, order: str, *more: AnyDecision) -> JournalBuilder:
    """Add an order that joins a group and is paid beforehand."""
    event = joined(order, f"of-{order}", group=group, payment=paid_with(order))
    return journal.input(confirmed(group, order), *more, event=event)


def paid_with(order: str, amount_minor: int = 8_000) -> JsonEvent:
    """The payment that is named after the order."""
    return payment(amount_minor, payment=f"pay-{order}")


def _seat(group: str, order: str) -> dict[str, Any]:
    seat = {"group": group, "order": order, "member": f"of-{order}", "offer": OFFER}
    return {**seat, "payable_minor": 8_000, "currency": "CNY", "publisher": SHOP}
