"""Decode and decide whatever comes: one outcome each, never an exception, nothing changed by what is refused."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from events import decisions as d
from events.decode import Unreadable, split_message
from events.member_decisions import MemberReminded
from events.record import Entry, decode_entry, decode_record
from events.registry import FAMILIES
from events.subjects import GATEWAY, MIXED
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.fuzz.mutating import TOO_LARGE, Mutator
from tests.histories import histories, read_history
from tests.model.both import ALL_ZONES, FACTS, canonical
from tests.model.inputs import Pick

MUTANTS_BEFORE_EACH: Final = (0, 1, 3, 8, 30)
LOOK_EVERY: Final = 97
"""The state is compared around one message in so many: it takes as long as fifty decisions."""
FORGERS: Final = ("shop-a", "shop-b", "operator", "stranger", "gateway", "matcher", "")
ENTRY_MAX_BYTES: Final = 1 << 20
_ONLY_SAID: Final = (d.Refused, d.Malformed, d.Duplicate)
_MAY_FOLLOW: Final = (d.RefundDue, MemberReminded)
"""What may come with a refusal, and nothing else: a payment that the order carried is owed back; the one reminder of a
member at its limit."""
_MOVED_BY_ALL: Final = ("now", "position", "decided", "identities", "identity_queue")
"""Of the state: the time and the place reached, and what came, which every input moves."""


class Told(NamedTuple):
    """An event as it once came: accepted time in ns, publisher, family, bytes."""

    at_ns: int
    publisher: str
    family: str
    body: bytes


@dataclass
class Tally:
    """What a run of the fuzzer did; outcomes by kind, refusals by reason."""

    markets: int = 0
    messages: int = 0
    compared: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


class Found(AssertionError):
    """Something that must hold did not; the message has the input."""


def told_in(path: Path) -> list[Told]:
    """Return the events of a golden history in order, as publishers sent them."""
    found = []
    for stored in read_history(path):
        for entry in map(decode_entry, decode_record(stored.body).entries):
            if entry.event is not None and entry.publisher is not None:
                body = bytes(entry.event)
                found.append(Told(entry.at, entry.publisher, _family(body), body))
    return found


def all_markets() -> list[list[Told]]:
    """Return the events of every golden history: all families, each in a market that knows them."""
    return [told_in(path) for path in histories()]


class FuzzedMarket:
    """An engine, another one that follows it by its entries, and what must hold after each message."""

    def __init__(self) -> None:
        self.engine = Engine("main", FACTS, ALL_ZONES)
        self.follower = Engine("main", FACTS, ALL_ZONES)
        self.seq = 0
        self.compared = 0
        self.outcomes: Counter[str] = Counter()

    def take(self, at_ns: int, publisher: str, family: str, body: bytes) -> None:
        """Let the engine decide a message. Raises Found where something does not hold."""
        self.seq += 1
        message = Message(self.seq, at_ns, publisher, family, body)
        looked = canonical(self.engine) if self.seq % LOOK_EVERY == 0 else None
        try:
            raws = self.engine.process(message)
            entries = [self._followed(raw) for raw in raws]
        except Found:
            raise
        except Exception as error:
            raise Found(f"{type(error).__name__}: {error}, for {message!r}") from error
        answers = [entry.decisions for entry in entries if entry.publisher is not None]
        if len(answers) != _events_in(message):
            raise Found(f"{len(answers)} outcomes for {_events_in(message)} events: {message!r}")
        self.outcomes.update(_kind(decisions[0]) for decisions in answers)
        nothing_due = len(entries) == len(answers) and (looked is None or looked["now"] == self.engine.state.now)
        if looked is not None and nothing_due and all(_only_says(decisions) for decisions in answers):
            self.compared += 1
            self._compare(looked, message)

    def check(self) -> None:
        """Raise Found unless whoever follows the entries has the same state."""
        if canonical(self.engine) != canonical(self.follower):
            raise Found("the state that follows from the entries is another")

    def _followed(self, raw: bytes) -> Entry:
        """Follow an entry and look at it."""
        if len(raw) > ENTRY_MAX_BYTES:
            raise Found(f"an entry of {len(raw)} bytes")
        entry = self.follower.evolve(raw)
        said = entry.decisions[0]
        if isinstance(said, _ONLY_SAID) and not all(isinstance(more, _MAY_FOLLOW) for more in entry.decisions[1:]):
            raise Found(f"what is refused decided something: {raw!r}")
        if isinstance(said, d.Malformed) and entry.event is not None:
            raise Found(f"what cannot be read was kept: {raw!r}")
        return entry

    def _compare(self, before: dict[str, Any], message: Message) -> None:
        after = canonical(self.engine)
        differing = [name for name in before if name not in _MOVED_BY_ALL and before[name] != after[name]]
        if differing:
            raise Found(f"refused input changed {', '.join(differing)}: {message!r}")


def _kind(outcome: d.AnyDecision) -> str:
    if isinstance(outcome, d.Refused):
        return f"refused: {outcome.reason.value}"
    return f"malformed: {outcome.why.value}" if isinstance(outcome, d.Malformed) else str(outcome.__struct_config__.tag)


def _only_says(decisions: Sequence[d.AnyDecision]) -> bool:
    return len(decisions) == 1 and isinstance(decisions[0], _ONLY_SAID)


def fuzz(seed: int, messages: int) -> Tally:
    """Feed markets `messages` messages or a few more, most of them mutants, and return what came of them.

    Raises Found, whose message names the number of the market: `play_market` repeats it alone.
    """
    markets = all_markets()
    tally = Tally()
    number = seed << 20
    while tally.messages < messages:
        market = play_market(number, markets)
        tally.markets += 1
        tally.messages += market.seq
        tally.compared += market.compared
        tally.outcomes.update(market.outcomes)
        number += 1
    return tally


def play_market(number: int, markets: Sequence[Sequence[Told]]) -> FuzzedMarket:
    """Play one of the markets with its number as seed. Raises Found."""
    market = FuzzedMarket()
    try:
        play(market, markets[number % len(markets)], random.Random(number).choice)
    except Found as found:
        raise Found(f"market {number}: {found}") from found
    return market


def play(market: FuzzedMarket, told: Sequence[Told], pick: Pick) -> None:
    """Tell a market its history, mutants of each event before it."""
    mutator = Mutator(pick, [event.body for event in told] + [TOO_LARGE])
    for event in told:
        for mutant in mutants(mutator, event, pick):
            market.take(*mutant)
        market.take(*event)
    market.check()


def mutants(mutator: Mutator, event: Told, pick: Pick) -> Iterator[Told]:
    """Yield changed copies of an event, now and then from somebody else, on another subject, at another time."""
    for _ in range(pick(MUTANTS_BEFORE_EACH)):
        publisher = pick((event.publisher,) * 30 + FORGERS)
        family = pick((event.family,) * 60 + (MIXED, "nonsense", *FAMILIES))
        at_ns = event.at_ns - pick((0, 0, 0, 1, 10**9, 10**15))
        body = mutator.body(event.body)
        if family == MIXED and pick((True, True, False)):
            publisher, body = GATEWAY, mutator.document(_wrapped(body, event.publisher))
        yield Told(max(0, at_ns), publisher, family, body)


def _wrapped(body: bytes, publisher: str) -> bytes:
    """Return an event as the gateway sends it, as far as `body` is one."""
    named = msgspec.json.encode(publisher)
    return b'{"publisher":' + named + b"," + body[1:] if body[:1] == b"{" and len(body) > 2 else body


def _family(body: bytes) -> str:
    kind: str = msgspec.json.decode(body)["type"]
    return kind.split(".")[1]


def _events_in(message: Message) -> int:
    if message.family != MIXED and message.family not in FAMILIES:
        return 1
    try:
        return len(split_message(message.body))
    except Unreadable:
        return 1
