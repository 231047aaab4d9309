"""Given some events, when one more comes, then these decisions: how every rule test is written.

    given(offer(), posted("o1")).when(paid("o1"), at=5).then("seat.confirmed")

Times are seconds after the test's beginning. Whatever the engine decides is also compared with the naive model,
the state that follows from the entries alone with the engine's own, what is decided again of the entries with what
they say, and what an engine decides that stopped after some of the entries with what this one did.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import msgspec

from events.outcomes import outcome_of
from events.reasons import Fault, Reason
from events.record import decode_entry
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.builders import SHOP, T0, JsonEvent, S, encode, encode_batch, family_of, market, play_market
from tests.model.both import FACTS, ZONES, Both, as_fields
from tests.model.replayed import Replayed

P = ParamSpec("P")
Decision = dict[str, Any]
Input = JsonEvent | bytes | list[JsonEvent]

CRASHES_TRIED = 8
"""After how many entries of each message, from none on, a crash is tried."""

_OFFICES = {"market": "operator", "member": "operator", "dispute": "operator", "clock": "matcher"}
_said: set[str] = set()


def given_plays(*events: JsonEvent, **configuration: Any) -> "Scenario":
    """Return a scenario of a market with plays, which the naive model does not know; all else is compared."""
    scenario = Scenario(model=False)
    scenario.when(play_market(**configuration))
    for event in events:
        scenario.when(event)
    return scenario


def given_watched(*events: JsonEvent, **configuration: Any) -> "Scenario":
    """Return a scenario of a market with plays in which detection works as it does by default."""
    return given_plays(*events, **{"standing": {}, **configuration})


def given(*events: JsonEvent, configured: bool = True, compared: bool = True, model: bool = True) -> "Scenario":
    """Return a scenario in which `events` have been decided at its beginning, one after the other.

    A market is configured first unless `events` do or `configured` is false. With `compared` false the naive model
    stays out: it is too slow for thousands of seats. With `model` false it stays out, since it does not know the
    family, and engines are compared with each other all the same.
    """
    scenario = Scenario(compared, model=model)
    brings_market = bool(events) and family_of(events[0]) == "market"
    if configured and not brings_market:
        scenario.when(market())
    for event in events:
        scenario.when(event)
    return scenario


class Scenario:
    """A market in the middle of a story, and what was decided last."""

    def __init__(self, compared: bool = True, *, model: bool = True) -> None:
        """Start with a market that has seen nothing; without `model` only engines are compared with each other."""
        self.both = Both(model=model) if compared else None
        self.alone = Engine("main", FACTS, ZONES)
        self.replayed = Replayed(FACTS, ZONES)
        self.seq = 0
        self.now_ns = T0
        self.entries: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []

    @property
    def engine(self) -> Engine:
        """The engine itself."""
        return self.alone if self.both is None else self.both.engine

    def when(
        self,
        event: Input,
        at: float | None = None,
        *,
        by: str | None = None,
        on: str | None = None,
        at_ns: int = 0,
    ) -> "Scenario":
        """Let an event, a batch or raw bytes arrive `at` seconds (and `at_ns` ns) after the beginning; default: now.

        `by` is the publisher and `on` the family of the subject; by default those that fit.
        """
        if at is not None or at_ns:
            self.now_ns = T0 + int((at or 0) * S) + at_ns
        body, family = _body_of(event, self.now_ns)
        family = on or family
        publisher = by or _OFFICES.get(family, SHOP)
        self.entries = self._feed(publisher, family, body)
        self.history += self.entries
        _said.update(_words_of(self.entries))
        return self

    def _feed(self, publisher: str, family: str, body: bytes) -> list[dict[str, Any]]:
        self.seq += 1
        if self.both is not None:
            entries = self.both.feed(self.now_ns, publisher, family, body, crashes=range(CRASHES_TRIED))
            self.both.check_follower()
            return entries
        message = Message(seq=self.seq, at=self.now_ns, publisher=publisher, family=family, body=body)
        raws = self.alone.process(message)
        self.replayed.check(raws)
        return [as_fields(raw) for raw in raws]

    def restart(self, *, from_snapshot: bool = False) -> "Scenario":
        """Go on with an engine that was rebuilt from the entries, or from a snapshot."""
        assert self.both is not None, "only compared scenarios restart"
        if from_snapshot:
            self.both.restart_from_snapshot()
        else:
            self.both.restart_from_entries()
        return self

    # What was decided last

    @property
    def decisions(self) -> list[Decision]:
        """Every decision about the last message, in order."""
        return [decision for entry in self.entries for decision in entry["decisions"]]

    @property
    def kinds(self) -> list[str]:
        """The kinds of these decisions."""
        return [decision["kind"] for decision in self.decisions]

    @property
    def outcome(self) -> Decision:
        """What the publisher of the last event is told."""
        answers = [entry for entry in self.entries if "publisher" in entry]
        assert len(answers) == 1, f"{len(answers)} outcomes"
        fields = {**answers[0], "event": msgspec.Raw(answers[0].get("event", b"null"))}
        return outcome_of(decode_entry(msgspec.json.encode(fields)), "-")

    def one(self, kind: str, **fields: Any) -> Decision:
        """Return the only decision of a kind (that has these fields) about the last message."""
        found = [d for d in self.decisions if d["kind"] == kind and fields.items() <= d.items()]
        assert len(found) == 1, f"expected one {kind} {fields}, got {self.decisions}"
        return found[0]

    def every(self, kind: str) -> list[Decision]:
        """Return all decisions of a kind about the last message."""
        return [decision for decision in self.decisions if decision["kind"] == kind]

    def group_of(self, order: str) -> str:
        """Return the group in which an order last took a seat."""
        seats = [
            decision["group"]
            for entry in self.history
            for decision in entry["decisions"]
            if decision["kind"] in ("seat.held", "seat.confirmed") and decision["order"] == order
        ]
        group: str = seats[-1]
        return group

    def due_refunds(self) -> list[Decision]:
        """Return every refund that has become due since the beginning."""
        return [d for entry in self.history for d in entry["decisions"] if d["kind"] == "refund.due"]

    # Assertions

    def then(self, *kinds: str) -> "Scenario":
        """The last message led to decisions of exactly these kinds, in this order."""
        assert self.kinds == list(kinds), f"expected {list(kinds)}, got {self.decisions}"
        return self

    def then_nothing_but(self, kind: str, **fields: Any) -> "Scenario":
        """The last message led to this decision alone."""
        self.then(kind)
        assert fields.items() <= self.decisions[0].items(), f"expected {fields}, got {self.decisions[0]}"
        return self

    def then_refused(self, reason: Reason, *more: str) -> "Scenario":
        """The last event was refused for `reason`, beside decisions of the kinds `more`."""
        self.then("refused", *more)
        assert self.decisions[0]["reason"] == reason, f"expected {reason}, got {self.decisions[0]}"
        return self

    def then_malformed(self, fault: Fault) -> "Scenario":
        """The last message could not be read for `fault`."""
        return self.then_nothing_but("malformed", why=str(fault))


def covers(*reasons: Reason) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Mark a test that shows these reasons; it fails unless each of them was given while it ran."""

    def mark(test: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            _said.clear()
            test(*args, **kwargs)
            assert _said.issuperset(reasons), f"the test does not show {set(reasons) - _said}"

        run.__dict__["covers"] = frozenset(reasons)
        return run

    return mark


def _body_of(event: Input, now_ns: int) -> tuple[bytes, str]:
    if isinstance(event, bytes):
        return event, "order"
    if isinstance(event, list):
        return encode_batch(event, now_ns), family_of(event[0])
    return encode(event, now_ns), family_of(event)


def _words_of(entries: list[dict[str, Any]]) -> set[str]:
    """Return every reason, fault and cause of a refund that stands in entries."""
    words = set()
    for entry in entries:
        for decision in entry["decisions"]:
            kept = ("reason", "why") if decision["kind"] != "refund.due" else ("cause",)
            words |= {decision[name] for name in kept if decision["kind"] in _TELLING and name in decision}
    return words


_TELLING = ("refused", "malformed", "refund.due", "invitation.refused")
