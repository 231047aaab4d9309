"""The matcher's engine: intake messages in, entries out; entries in, the same state again.

`process` decides, `evolve` recovers. Both change the state through `evolve.apply` alone. Nothing here reads a
clock, a file or a broker.
"""

from collections.abc import Callable
from sys import intern
from typing import Any, Final

import msgspec

from events import clock, group, invitation, member, offer, order, refund
from events import decisions as d
from events.assist import AssistGivenEvent
from events.decision import Decision
from events.decode import (
    NOT_LOOKED_AT,
    Decoded,
    NamesAPerson,
    Unreadable,
    decode_archived,
    decode_batch,
    finish_decoding,
    split_message,
)
from events.envelope import Event
from events.leaf import keyed_hash
from events.link import link_key
from events.market import MarketConfiguredEvent, MarketRestoredEvent
from events.order import OrderJoinedEvent, OrderPostedEvent
from events.reasons import Fault, Reason
from events.record import Entry, EntryBytes, decode_entry, encode_entry
from events.registry import FAMILIES, AnyEvent
from events.subjects import GATEWAY, MIXED
from services.matcher.domain import (
    alarms,
    configuring,
    due,
    evolve,
    gate,
    leaving,
    paying,
    plain,
    restoring,
    seating,
)
from services.matcher.domain.disputes import deadlines as dispute_deadlines
from services.matcher.domain.disputes.rules import RULES as DISPUTE_RULES
from services.matcher.domain.facts import UTC_ONLY, Facts, Zones
from services.matcher.domain.forgetting import Forgetting
from services.matcher.domain.identities import FORGETTABLE, REFUSALS, identity_key, remember
from services.matcher.domain.index import Index
from services.matcher.domain.members import choosing, invitation_changes, invitations
from services.matcher.domain.message import Message
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays import assisting
from services.matcher.domain.plays import family as plays
from services.matcher.domain.plays.index import PlayIndex
from services.matcher.domain.plays.judging import DETECTION
from services.matcher.domain.standing import family as standing
from services.matcher.domain.standing.detecting import NOTIFIED
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

_RULES: Final[dict[type[Event], Callable[[Turn, Any], None]]] = {
    order.OrderPostedEvent: seating.take_seat,
    order.OrderJoinedEvent: seating.take_seat,
    order.OrderPaidEvent: paying.pay,
    order.OrderChangedEvent: leaving.change,
    order.OrderWithdrawnEvent: leaving.withdraw,
    order.OrderCancelledEvent: leaving.cancel,
    order.OrderReleasedEvent: leaving.release_by_service,
    group.GroupDissolvedEvent: leaving.dissolve_by_service,
    group.GroupCompletedEvent: leaving.complete_by_service,
    refund.RefundSettledEvent: paying.answer_refund,
    refund.RefundFailedEvent: paying.answer_refund,
    offer.OfferPublishedEvent: configuring.publish,
    offer.OfferChangedEvent: configuring.change,
    offer.OfferStockedEvent: configuring.restock,
    offer.OfferWithdrawnEvent: configuring.withdraw_offer,
    member.MemberBlockedEvent: configuring.block,
    member.MemberRegisteredEvent: choosing.register,
    member.MemberConsentedEvent: choosing.consent,
    member.MemberWithdrewEvent: choosing.withdraw,
    member.MemberPreferredEvent: choosing.prefer,
    member.MemberLimitedSelfEvent: choosing.limit_self,
    clock.ClockTickedEvent: lambda turn, _: turn.emit(d.ClockAdvanced()),
    **DISPUTE_RULES,
    **plays.RULES,
    MarketRestoredEvent: restoring.restore,
    **standing.RULES,
}
"""The rule for each type of event but two: `market.configured` needs the zones, invitations the key of links."""

alarms.SOURCES.extend((plays.ALARMS, standing.ALARMS))
alarms.RULES.update({**plays.ALARM_RULES, **standing.ALARM_RULES})
DETECTION.append(standing.DETECTION)
NOTIFIED.append(invitation_changes.is_invited)

alarms.SOURCES.append(dispute_deadlines.alarms_of)
alarms.RULES[dispute_deadlines.DISPUTE] = dispute_deadlines.RULE
plain.UNUSUAL.append(lambda state, _: state.members.watching)
plain.UNUSUAL.append(lambda state, order: bool(state.standing.ledge.sanctioned) or order.signals is not None)


_MAY_BE_PLAIN: Final = frozenset({OrderPostedEvent, OrderJoinedEvent, AssistGivenEvent})


class Engine:
    """The state of one market and the rules that move it."""

    def __init__(self, market: str, facts: Facts, zones: Zones = UTC_ONLY, state: State | None = None) -> None:
        """Start `market` from `state`, or from nothing."""
        self.market = market
        self.facts = facts
        self.zones = zones
        self.state = State() if state is None else state
        self.tree = Index(self.state, PlayIndex(market, facts, zones), zones)
        self._forgetting = Forgetting(self.state, self.tree)
        self._link_key = link_key(facts.market_key)
        self._rules: dict[type[Event], Callable[[Turn, Any], None]] = {
            **_RULES,
            MarketConfiguredEvent: self._configure,
            invitation.InvitationRequestedEvent: self._invite,
        }
        self._admitted: plain.Admission | None = None
        """Of the message that is being decided."""
        self.tally: dict[type[Decision], int] = {}
        """Decided events by the kind of their outcome, since this engine was made."""

    def process(self, message: Message, first_index: int = 0) -> list[bytes]:
        """Decide `message` from its event `first_index` on; return the bytes of the entries, in order."""
        entries: list[bytes] = []
        try:
            if message.family != MIXED and message.family not in FAMILIES:
                raise Unreadable(Fault.BAD_SUBJECT)
            raws = split_message(message.body)
        except Unreadable as fault:
            if first_index == 0:
                self._decide_unreadable(message, 0, message.body, message.publisher, fault, entries)
            return entries
        # On the gateway's own subject each event says who published it.
        is_mixed = message.family == MIXED
        publishers: list[str | None] = [None if is_mixed else intern(message.publisher)] * len(raws)
        if is_mixed:
            for index, raw in enumerate(raws):
                publishers[index], raws[index] = gate.unwrap(message, raw)
        decoded = decode_batch(raws) if len(raws) > 1 else [None]
        self._admitted = None
        for index in range(first_index, len(raws)):
            known, publisher = decoded[index], publishers[index]
            if known is None or known[1] == NOT_LOOKED_AT or publisher is None:
                self._decide_own(message, index, raws[index], publisher, known, entries)
                continue
            # `_decide_readable`, a call less for nearly every event.
            event, claimed_at = known
            if type(event) not in _MAY_BE_PLAIN or not self._decide_plainly(
                message, index, raws[index], publisher, event, claimed_at, entries
            ):
                self._decide_event(message, index, raws[index], publisher, event, claimed_at, entries)
        return entries

    def finish(self) -> list[bytes]:
        """Do what the last event left due at its own moment; after a restart this comes before new input."""
        entries: list[bytes] = []
        self._drain(self.state.now, self.state.position[0], self.state.position[1], entries)
        return entries

    def evolve(self, raw: bytes | msgspec.Raw) -> Entry:
        """Apply an entry that was decided before; return it."""
        entry = decode_entry(raw)
        raw_event = None if entry.event is None else bytes(entry.event)
        event = None if raw_event is None else decode_archived(raw_event)
        self.state.now = entry.at
        self.state.position = (entry.seq, entry.index, entry.part)
        moment = Moment(self.state, self.tree, entry.at, event)
        for decision in entry.decisions:
            evolve.apply(moment, decision)
        if entry.publisher is not None:
            key = None
            if event is not None and not isinstance(event, clock.ClockTickedEvent):
                key = identity_key(entry.publisher, event.source, event.id)
            self._note_event(entry.decisions, raw_event, key)
        self._close_entry(event, entry.at)
        return entry

    def redo(self, entry: EntryBytes, *, is_astray: bool = False) -> list[bytes]:
        """Decide an archived event again, as it came and when it came; return the bytes of all its entries.

        The subject is not archived. Unless `is_astray`, it was one on which the publisher may send what it sent.
        """
        assert entry.event is not None and entry.publisher is not None, "only what is kept can be decided again"
        self._admitted = None
        publisher = intern(entry.publisher)
        # As the gateway sends it, once unwrapped: that may send every family for everybody.
        sender, family = (publisher, "") if is_astray else (GATEWAY, MIXED)
        entries: list[bytes] = []
        message = Message(entry.seq, entry.at, sender, family, b"")
        self._decide_own(message, entry.index, bytes(entry.event), publisher, None, entries)
        return entries

    def retake(self, entry: Entry) -> list[bytes]:
        """Do what was due before an input that is not kept, and take its outcome as archived; return the entries."""
        assert entry.event is None and entry.publisher is not None, "what is kept is decided again"
        message = Message(entry.seq, entry.at, entry.publisher, "", b"")
        now = gate.accepted_time(self.state.market, self.state.now, message, 0)
        entries: list[bytes] = []
        self._drain(now, entry.seq, entry.index, entries)
        turn = self._turn(now, entry.seq, entry.index, entry.publisher, None)
        for decision in entry.decisions:
            turn.emit(decision)
        self._finish_event(turn, None, None, entries)
        return entries

    def redo_due(self, now: int, seq: int, index: int) -> list[bytes]:
        """Do again what was due at `now` (ns) before an input whose own entry is not archived; return the entries."""
        entries: list[bytes] = []
        self._drain(now, seq, index, entries)
        return entries

    def next_due_ns(self) -> int | None:
        """Return when the next deadline is due, in ns of the market's clock; None when there is none."""
        return due.next_due_ns(self.state, self.tree)

    def snapshot(self) -> bytes:
        """Return the state as bytes that `restore` takes."""
        return msgspec.msgpack.encode(self.state)

    @classmethod
    def restore(cls, market: str, facts: Facts, snapshot: bytes, zones: Zones = UTC_ONLY) -> "Engine":
        """Return an engine with the state of a snapshot. Raises ValueError when it is not one."""
        return cls(market, facts, zones, msgspec.msgpack.decode(snapshot, type=State))

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
        entries: list[bytes],
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
        entries: list[bytes],
    ) -> None:
        if type(event) not in _MAY_BE_PLAIN or not self._decide_plainly(
            message, index, raw, publisher, event, claimed_at, entries
        ):
            self._decide_event(message, index, raw, publisher, event, claimed_at, entries)

    def _decide_plainly(
        self,
        message: Message,
        index: int,
        raw: bytes,
        publisher: str,
        event: Any,  # one of _MAY_BE_PLAIN: to cast it would be a call
        claimed_at: int,
        entries: list[bytes],
    ) -> bool:
        """Decide an order or assist about which nothing is unusual; of any other return False: nothing has changed."""
        state, tree, market = self.state, self.tree, self.state.market
        if market is None:
            return False
        now = message.at if market.clock == "broker" else claimed_at
        if now < state.now:
            now = state.now
        if now >= tree.due_from:
            return False
        # `isinstance` asks the metaclass of structs, a tenth of a microsecond.
        is_assist = type(event) is AssistGivenEvent
        family = "assist" if is_assist else "order"
        admitted = self._admitted
        if admitted is None or admitted.now != now or admitted.publisher != publisher or admitted.family != family:
            admitted = self._admitted = plain.admission(market, message, publisher, family, now)
        if not admitted.earliest < claimed_at <= admitted.latest:
            return False
        key = plain.admit(state, tree, market, publisher, event)
        if key is None:
            return False
        seq = message.seq
        kind: type[Decision]
        if is_assist:
            found = assisting.find_plain(state, tree, market, now, event.data)
            if found is None:
                return False
            turn = self._turn(now, seq, index, publisher, event)
            play, rules, helped, is_new, day = found
            assisting.decide(turn, play, rules, event.data, helped, is_new=is_new, day=day)
            kind = type(turn.decisions[0])
        else:
            data = event.data
            place = plain.find_place(state, tree, now, data)
            if place is None:
                return False
            turn = self._turn(now, seq, index, publisher, event)
            offer, group, terms, payable_minor = place
            kind = seating.sit_down(turn, data, offer, group, terms, payable_minor)
        state.decided = (seq, index)
        self.tally[kind] = self.tally.get(kind, 0) + 1
        remember(state, tree.identities, key, raw, kind, None)
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
        entries: list[bytes],
    ) -> None:
        """Decide any event, by the rules one after the other."""
        self._admitted = None  # it may be the market's configuration
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
            gate.owe_back_early(turn, event, refusal.reason)
        self._finish_event(turn, raw, key, entries)
        self._drain(now, message.seq, index, entries)

    def _decide_unreadable(
        self, message: Message, index: int, raw: bytes, publisher: str, fault: Unreadable, entries: list[bytes]
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
        self, message: Message, index: int, raw: bytes, publisher: str, person: NamesAPerson, entries: list[bytes]
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

    def _turn(self, now: int, seq: int, index: int, publisher: str, event: AnyEvent | None) -> Turn:
        state = self.state
        last_seq, last_index, part = state.position
        part = part + 1 if last_index == index and last_seq == seq else 0
        state.now = now
        state.position = (seq, index, part)
        return Turn(state, self.tree, now, event, seq, index, publisher)

    def _drain(self, now: int, seq: int, index: int, entries: list[bytes]) -> None:
        """Do everything that is due at `now`, an entry for each bounded piece."""
        while due.is_due(self.state, self.tree, now):
            before = (self.state.now, self.state.position)
            turn = self._turn(now, seq, index, "", None)
            due.do_piece(turn)
            if not turn.decisions:
                self.state.now, self.state.position = before
                return
            self._write(turn, None, None, entries)

    def _finish_event(self, turn: Turn, raw: bytes | None, key: bytes | None, entries: list[bytes]) -> None:
        """Write the entry of an event and remember it under `key`; `raw` is None where its bytes are not kept."""
        self._note_event(turn.decisions, raw, key)
        self._write(turn, turn.publisher, raw, entries)

    def _write(self, turn: Turn, publisher: str | None, raw: bytes | None, entries: list[bytes]) -> None:
        seq, index, part = self.state.position
        event = None if raw is None else msgspec.Raw(raw)
        decisions, now = turn.decisions, turn.now
        entries.append(
            encode_entry(
                Entry(seq=seq, index=index, part=part, at=now, publisher=publisher, event=event, decisions=decisions)
            )
        )
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
        tally = self.tally
        tally[kind] = tally.get(kind, 0) + 1
        if key is None or raw is None or kind is d.Duplicate:
            return
        reason = answer.reason if isinstance(answer, REFUSALS) else None
        if kind is not d.Refused or reason not in FORGETTABLE:
            remember(state, self.tree.identities, key, raw, kind, reason)

    def _close_entry(self, event: AnyEvent | None, now: int) -> None:
        if isinstance(event, MarketConfiguredEvent):
            self._forgetting.reconfigured()
        if now > self._forgetting.nothing_until:
            self._forgetting.after_entry(now)
