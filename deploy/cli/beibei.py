"""BeiBei's group-buy records as a market's events: reading the file, and planning what is published.

A record is one group a line: initiator, item, participants, separated by tabs, all of them numbers. The records
carry no times: line i is taken to happen at second i, an assumption to state wherever a figure is shown.
"""

import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deploy.cli.output import CommandError
from events.ids import names_a_person
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, DURATION_MAX_S, GROUP_MAX_SEATS
from events.market import MarketConfigured
from events.offer import OfferPublished, OfferPublishedEvent, OfferTerms
from events.order import OrderJoined, OrderJoinedEvent, OrderPosted, OrderPostedEvent
from events.times import NS_PER_S, format_time_ns, parse_time_ns

SOURCE: Final = "/import/beibei"
PUBLISHER: Final = "local"
BASE_TIME: Final = "2020-01-01T00:00:00Z"
BASE_NS: Final = parse_time_ns(BASE_TIME)
LAUNCH_SIZE: Final = 2
TTL_MAX_S: Final = DURATION_MAX_S
LINE_MAX_BYTES: Final = 64 * 1024
EXPECTED: Final = "initiator, item and participants as whole numbers of at most 18 digits, separated by tabs"

_NUMBER: Final = re.compile(r"[0-9]{1,18}").fullmatch
_encode: Final = msgspec.json.Encoder().encode
_Event = OrderPostedEvent | OrderJoinedEvent | OfferPublishedEvent


class Record(msgspec.Struct, frozen=True, gc=False):
    """One line: who launched a group for which item, and who took part. `line` counts from 1."""

    line: int
    initiator: str
    item: str
    participants: tuple[str, ...]

    @property
    def is_launch(self) -> bool:
        """Whether nobody took part: a launch that waits for a stranger."""
        return not self.participants

    @property
    def size(self) -> int:
        """Seats of the group: everybody named, or two for a launch."""
        return LAUNCH_SIZE if self.is_launch else 1 + len(self.participants)

    @property
    def offer(self) -> str:
        """The offer that the group is for: one for each item and size."""
        return f"i{self.item}-s{self.size}"


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One intake message: the sequence it must get, since group ids in it follow from that."""

    seq: int
    family: str
    body: bytes
    events: int
    lines_done: int


def read_records(path: Path, limit: int | None = None) -> Iterator[Record]:
    """Yield the records of a file, the first `limit` of them. Raises CommandError naming the line that is no record."""
    try:
        with _open(path) as file:
            yield from (_parse(path, number, line) for number, line in enumerate(islice(_lines(file), limit), 1))
    except (lzma.LZMAError, EOFError) as error:
        raise CommandError(f"{path} is no whole .xz file: {error}") from None
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}") from None


def check_records(path: Path, limit: int | None = None) -> int:
    """Return how many records a file holds, after looking at every one of them. Raises CommandError when none."""
    count = sum(1 for _ in read_records(path, limit))
    if count == 0:
        raise CommandError(f"{path} holds no records: expected one group a line, {EXPECTED}")
    return count


def market_for(ttl_s: int) -> MarketConfigured:
    """Return the configuration of the market for an import in which groups live for `ttl_s` seconds."""
    return MarketConfigured(
        clock="event",
        publishers={PUBLISHER: ["offer", "order"]},
        # Nothing is paid through this market: every seat is confirmed at once.
        offer_defaults=OfferTerms(currency="CNY", group_minor=0, hold_s=0, group_ttl_s=ttl_s),
    )


def plan_batches(records: Iterable[Record], first_seq: int) -> Iterator[PlannedBatch]:
    """Yield the intake messages that replay the records; they must get the sequences from `first_seq` on, gaplessly.

    A friends' group is named by those who join it in the same stream in which it is opened; that works since
    a group's id is the position of the event that opens it, and this publisher is the only one.
    """
    plan = _Plan(first_seq)
    chunk: list[Record] = []
    events = 0
    for record in records:
        weight = 1 + len(record.participants)
        if events + weight > BATCH_MAX_EVENTS:
            yield from plan.batches_of(chunk)
            chunk, events = [], 0
        chunk.append(record)
        events += weight
    if chunk:
        yield from plan.batches_of(chunk)


@dataclass(slots=True)
class _Plan:
    """What is planned so far: the next sequence and the offers that are listed."""

    seq: int
    offers: set[str] = field(default_factory=set)

    def batches_of(self, chunk: list[Record]) -> Iterator[PlannedBatch]:
        """Yield the message with the chunk's new offers, if there are any, and the one with its orders."""
        fresh = {record.offer: record for record in chunk if record.offer not in self.offers}
        self.offers.update(fresh)
        if fresh:
            # Claimed at the chunk's first second: the market's clock never goes back, so later would make it late.
            at = _time_text(chunk[0].line)
            listed = [_offer_event(offer, record.size, at) for offer, record in fresh.items()]
            yield self._batch("offer", listed, chunk[0].line - 1)
        orders: list[_Event] = []
        for record in chunk:
            orders += _order_events(record, f"g{self.seq}-{len(orders)}")
        yield self._batch("order", orders, chunk[-1].line)

    def _batch(self, family: str, events: list[_Event], lines_done: int) -> PlannedBatch:
        body = _encode(events)
        assert len(events) <= BATCH_MAX_EVENTS, f"{len(events)} events"
        assert len(body) <= BATCH_MAX_BYTES, f"{len(body)} bytes"
        self.seq += 1
        return PlannedBatch(self.seq - 1, family, body, len(events), lines_done)


def _offer_event(offer: str, size: int, at: str) -> _Event:
    return OfferPublishedEvent(
        specversion="1.0", id=f"offer-{offer}", source=SOURCE, time=at, data=OfferPublished(offer=offer, size=size)
    )


def _order_events(record: Record, group: str) -> list[_Event]:
    """Return the events of one line: the launch, and one join for each participant."""
    name, at = f"l{record.line}", _time_text(record.line)
    friends = not record.is_launch
    posted = OrderPostedEvent(
        specversion="1.0",
        id=name,
        source=SOURCE,
        time=at,
        data=OrderPosted(
            order=name,
            member=_member(record.initiator),
            offer=record.offer,
            strangers=not friends,
            lead="always" if friends else "if_needed",
        ),
    )
    joins = [
        OrderJoinedEvent(
            specversion="1.0",
            id=f"{name}-{i}",
            source=SOURCE,
            time=at,
            data=OrderJoined(
                order=f"{name}-{i}", member=_member(who), offer=record.offer, strangers=False, group=group
            ),
        )
        for i, who in enumerate(record.participants, 1)
    ]
    return [posted, *joins]


def _time_text(line: int) -> str:
    return format_time_ns(BASE_NS + line * NS_PER_S)


def _member(number: str) -> str:
    return f"m{number}"


def _open(path: Path) -> BinaryIO:
    return lzma.open(path, "rb") if path.suffix == ".xz" else path.open("rb")  # type: ignore[return-value] # it is one


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_MAX_BYTES + 1):
        yield line


def _parse(path: Path, number: int, line: bytes) -> Record:
    where = f"line {number} of {path}"
    if len(line) > LINE_MAX_BYTES:
        raise CommandError(f"{where} is longer than {LINE_MAX_BYTES} bytes; expected {EXPECTED}")
    fields = line.rstrip(b"\r\n").decode("ascii", errors="replace").split("\t")
    if len(fields) < 2 or not all(map(_NUMBER, fields)):
        raise CommandError(f"{where} is {_shown(line)}; expected {EXPECTED}")
    initiator, item, *participants = fields
    members = [initiator, *participants]
    if len(set(members)) != len(members):
        twice = next(member for member in members if members.count(member) > 1)
        raise CommandError(f"{where} names member {twice} twice; expected each member of a group once")
    if len(members) > GROUP_MAX_SEATS:
        raise CommandError(f"{where} has {len(members)} members; expected at most {GROUP_MAX_SEATS}")
    person = next((member for member in members if names_a_person(_member(member))), None)
    if person is not None:
        raise CommandError(f"{where} has a member that looks like a phone or identity number; expected pseudonyms")
    return Record(number, initiator, item, tuple(participants))


def _shown(line: bytes) -> str:
    text = line.rstrip(b"\r\n").decode("utf-8", errors="replace")
    return "empty" if not text.strip() else repr(text if len(text) <= 60 else f"{text[:60]}...")
