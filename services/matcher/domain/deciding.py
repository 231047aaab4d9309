"""From one event to its entry: read, checked, decided, written, remembered, and what was due before and after it."""

from typing import Any, Final

import msgspec

from events import decisions as d
from events import invitation
from events.assist import AssistGivenEvent
from events.decision import Decision
from events.decode import Decoded, NamesAPerson, Unreadable, finish_decoding
from events.envelope import Event
from events.leaf import keyed_hash
from events.link import link_key
from events.market import MarketConfiguredEvent
from events.order import OrderJoinedEvent, OrderPostedEvent
from events.raw import Unread
from events.reasons import Reason
from events.record import Entry
from events.registry import AnyEvent
from services.matcher.domain import configuring, due, gate, plain, seating
from services.matcher.domain.facts import UTC_ONLY, Facts, Zones
from services.matcher.domain.forgetting import Forgetting
from services.matcher.domain.handed import Handed
from services.matcher.domain.identities import FORGETTABLE, KIND_CODE, REFUSALS, remember
from services.matcher.domain.index import Index
from services.matcher.domain.members import invitations
from services.matcher.domain.message import Message
from services.matcher.domain.plays import assisting
from services.matcher.domain.plays.index import PlayIndex
from services.matcher.domain.rules import RULES, Rule
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

MAY_BE_PLAIN: Final = frozenset({OrderPostedEvent, OrderJoinedEvent, AssistGivenEvent})
"""Types of events that can be decided in the way of plain orders."""


class Deciding:
    """The state of one market, and what becomes of one event in it."""

    def __init__(self, market: str, facts: Facts, zones: Zones = UTC_ONLY, state: State | None = None) -> None:
        """Start `market` from `state`, or from nothing."""
        self.market = market
        self.facts = facts
        self.zones = zones
        self.state = State() if state is None else state
        self.tree = Index(self.state, PlayIndex(market, facts, zones), zones)
        self._forgetting = Forgetting(self.state, self.tree)
        self._link_key = link_key(facts.market_key)
        self._rules: dict[type[Event], Rule] = {
            **RULES,
            MarketConfiguredEvent: self._configure,
            invitation.InvitationRequestedEvent: self._invite,
        }
        self._admitted: plain.Admission | None = None
        """Of the last event about which it was asked."""
        self._counts = [0] * len(KIND_CODE)
        """Decided events by the code of their outcome's kind."""

    @property
    def tally(self) -> dict[type[Decision], int]:
        """Return how many events were decided, by the kind of their outcome, since this engine was made."""
        return {kind: self._counts[code] for kind, code in KIND_CODE.items() if self._counts[code]}

    def _configure(self, turn: Turn, event: MarketConfiguredEvent) -> None:
        configuring.configure(turn, event, self.zones)

    def _invite(self, turn: Turn, event: invitation.InvitationRequestedEvent) -> None:
        invitations.request(turn, event, self.market, self._link_key)

    # One event

    def _decide_own(
        self,
        message: Message,
        index: int,
        raw: bytes,
        wrapped_for: str | None,
        decoded: Decoded | None,
        entries: list[Entry],
    ) -> None:
        """Decide an event by its own bytes, which the gateway had wrapped for `wrapped_for` or not at all (None)."""
        try:
            event, claimed_at = finish_decoding(raw, decoded)
        except Unreadable as fault:
            self._decide_unreadable(message, index, raw, wrapped_for or message.publisher, fault, entries)
            return
        except NamesAPerson as person:
            publisher = wrapped_for or gate.publisher_of(message, person.event)
            self._decide_personal(message, index, raw, publisher, person, entries)
            return
        publisher = wrapped_for or gate.publisher_of(message, event)
        self._decide_readable(message, index, raw, publisher, event, claimed_at, entries)

    def _decide_readable(
        self,
        message: Message,
        index: int,
        raw: bytes,
        publisher: str,
        event: AnyEvent,
        claimed_at: int,
        entries: list[Entry],
    ) -> None:
        if type(event) not in MAY_BE_PLAIN or not self._decide_plainly(
            message, index, raw, publisher, event, claimed_at, entries
        ):
            self._decide_event(message, index, raw, publisher, event, claimed_at, entries)

    def _decide_plainly(
        self,
        message: Message,
        index: int,
        raw: Unread,
        publisher: str,
        event: Any,  # one of MAY_BE_PLAIN: to cast it would be a call
        claimed_at: int,
        entries: list[Entry],
    ) -> bool:
        """Decide an order or assist about which nothing is unusual; of any other return False: nothing has changed."""
        state, tree, market = self.state, self.tree, self.state.market
        if market is None:
            return False
        # Untyped, so that compiled code hands on the integers that are there.
        as_it_came: Any = message
        known: Any = state
        at: Handed = as_it_came.at if market.clock == "broker" else claimed_at
        now: int = at
        if now < state.now:
            at = known.now
            now = at
        if now >= tree.due_from:
            return False
        # `isinstance` asks the metaclass of structs, a tenth of a microsecond.
        is_assist = type(event) is AssistGivenEvent
        family = "assist" if is_assist else "order"
        admitted = self._admitted
        source: str = event.source
        if (
            admitted is None
            or admitted.market is not market
            or admitted.source != source
            or admitted.publisher != publisher
            or admitted.family != family
            or admitted.said_by != message.publisher
            or admitted.said_of != message.family
        ):
            admitted = self._admitted = plain.Admission(market, message, publisher, family, source)
        if not -admitted.window_ns < claimed_at - now <= admitted.slack_ns:
            return False
        key = plain.admit(state, tree, market, admitted, event.id)
        if key is None:
            return False
        seq: Handed = as_it_came.seq
        kind: type[Decision]
        if is_assist:
            found = assisting.find_plain(state, tree, market, now, event.data)
            if found is None:
                return False
            turn = self._turn(at, seq, index, publisher, event)
            play, rules, giving, is_new, day = found
            assisting.decide(turn, play, rules, giving, is_new=is_new, day=day)
            kind = type(turn.decisions[0])
        else:
            data = event.data
            offer, group, terms, payable_minor = plain.find_place(state, tree, now, data)
            if offer is None or terms is None:
                return False
            turn = self._turn(at, seq, index, publisher, event)
            kind = seating.sit_down(turn, data, offer, group, terms, payable_minor)
        state.decided = (seq, index)
        code = KIND_CODE[kind]
        self._counts[code] = self._counts[code] + 1
        remember(state, tree.identities, key, raw, code, None)
        self._write(turn, publisher, raw, entries)
        if now >= tree.due_from:
            self._drain(now, message.seq, index, entries)
        return True

    def _decide_event(
        self,
        message: Message,
        index: int,
        raw: bytes,
        publisher: str,
        event: AnyEvent,
        claimed_at: int,
        entries: list[Entry],
    ) -> None:
        """Decide any event, by the rules one after the other."""
        configured = gate.configuration(self.state, event)
        now = gate.accepted_time(configured, self.state.now, message, claimed_at)
        self._drain(now, message.seq, index, entries)
        turn = self._turn(now, message.seq, index, publisher, event)
        key = None
        try:
            gate.check_right(self.state, message, publisher, event)
            key = gate.check_identity(turn, event, raw)
            if not turn.decisions:
                assert configured is not None, "a right to speak needs a configuration"
                gate.check_time(turn, configured, event, claimed_at)
                self._rules[type(event)](turn, event)
        except Refusal as refusal:
            assert not turn.decisions, "a rule refuses before it decides"
            turn.emit(d.Refused(reason=refusal.reason, detail=refusal.detail))
            gate.owe_back_early(turn, configured, event, claimed_at, refusal.reason)
        self._finish_event(turn, raw, key, entries)
        self._drain(now, message.seq, index, entries)

    def _decide_unreadable(
        self, message: Message, index: int, raw: bytes, publisher: str, fault: Unreadable, entries: list[Entry]
    ) -> None:
        now = gate.accepted_time(self.state.market, self.state.now, message, 0)
        self._drain(now, message.seq, index, entries)
        turn = self._turn(now, message.seq, index, publisher, None)
        turn.emit(
            d.Malformed(
                why=fault.fault,
                detail=fault.detail,
                size_bytes=len(raw),
                keyed_hash=keyed_hash(self.facts.market_key, raw),
            )
        )
        self._finish_event(turn, None, None, entries)

    def _decide_personal(
        self, message: Message, index: int, raw: bytes, publisher: str, person: NamesAPerson, entries: list[Entry]
    ) -> None:
        """Refuse an event that names a person, keeping its length and keyed hash only."""
        now = gate.accepted_time(self.state.market, self.state.now, message, 0)
        self._drain(now, message.seq, index, entries)
        turn = self._turn(now, message.seq, index, publisher, None)
        reason, field = Reason.PERSONAL_DATA, person.field
        try:
            gate.check_right(self.state, message, publisher, person.event)
        except Refusal as refusal:
            reason, field = refusal.reason, ""
        turn.emit(
            d.Refused(
                reason=reason,
                detail=field or None,
                size_bytes=len(raw),
                keyed_hash=keyed_hash(self.facts.market_key, raw),
            )
        )
        self._finish_event(turn, None, None, entries)

    # Entries

    def _turn(self, at: Handed, seq: Handed, index: Handed, publisher: str, event: AnyEvent | None) -> Turn:
        state = self.state
        turn = Turn(state, self.tree, at, event, seq, index, publisher)
        last_seq, last_index, part = state.position
        part = part + 1 if last_index == turn.index and last_seq == turn.seq else 0
        state.now = at
        state.position = (seq, index, part)
        return turn

    def _drain(self, now: int, seq: int, index: int, entries: list[Entry]) -> None:
        """Do everything that is due at `now`, an entry for each bounded piece."""
        while due.is_due(self.state, self.tree, now):
            before = (self.state.now, self.state.position)
            turn = self._turn(now, seq, index, "", None)
            due.do_piece(turn)
            if not turn.decisions:
                self.state.now, self.state.position = before
                return
            self._write(turn, None, None, entries)

    def _finish_event(self, turn: Turn, raw: bytes | None, key: bytes | None, entries: list[Entry]) -> None:
        """Write the entry of an event and remember it under `key`; `raw` is None where its bytes are not kept."""
        self._note_event(turn.decisions, raw, key)
        self._write(turn, turn.publisher, raw, entries)

    def _write(self, turn: Turn, publisher: str | None, raw: Unread | None, entries: list[Entry]) -> None:
        known: Any = self.state  # untyped, as above: its moment and its position are the turn's
        position = known.position
        event = msgspec.Raw(raw) if isinstance(raw, bytes) else raw
        entries.append(
            Entry(
                seq=position[0],
                index=position[1],
                part=position[2],
                at=known.now,
                publisher=publisher,
                event=event,
                decisions=turn.decisions,
            )
        )
        now = turn.now
        if now > self._forgetting.nothing_until or type(turn.event) is MarketConfiguredEvent:
            self._close_entry(turn.event, now)

    def _note_event(self, decisions: list[d.AnyDecision], raw: bytes | None, key: bytes | None) -> None:
        """Note that the event at the state's position is decided, and remember it where it may come again."""
        state = self.state
        seq, index, _ = state.position
        state.decided = (seq, index)
        answer = decisions[0]
        kind = type(answer)
        if kind is d.GroupOpened:
            answer = decisions[1]
            kind = type(answer)
        code = KIND_CODE[kind]
        self._counts[code] += 1
        if key is None or raw is None or kind is d.Duplicate:
            return
        reason = answer.reason if isinstance(answer, REFUSALS) else None
        if kind is not d.Refused or reason not in FORGETTABLE:
            assert self.tree.identities.get(key) is None, "an identity is remembered once"
            remember(state, self.tree.identities, key, raw, code, reason)

    def _close_entry(self, event: AnyEvent | None, now: int) -> None:
        if isinstance(event, MarketConfiguredEvent):
            self._forgetting.reconfigured()
        if now > self._forgetting.nothing_until:
            self._forgetting.after_entry(now)
