"""The recount of invitations that were sent: each allowed, agreed to, once, and at no hour at which it is quiet.

It follows what members chose by the journal, and asks of each fact what was known when it was decided to send. Local
times are worked out by the standard library and not by the rules' own tables.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from events import decisions as d
from events.member import MemberBlocked, MemberBlockedEvent
from events.member_decisions import Choices, InvitationAllowed, MemberChose
from events.notice import NoticeFact
from events.record import Entry
from events.registry import AnyEvent
from events.times import NS_PER_S
from services.bus import timezones
from services.ledger.audit_accounts import Check, CheckResult
from services.ledger.notices import entry_of
from services.ledger.scratch import SpillMap

INVITATION: Final = "invitation"
KEPT_NS: Final = 86_400 * NS_PER_S
LOOKED_THROUGH_EVERY: Final = 10_000


class Chosen(msgspec.Struct):
    """What a member has chosen, and from whom it keeps apart; whoever keeps apart from it begins with `by `."""

    choices: Choices = Choices()
    apart: dict[str, bool] = {}


class Allowed(msgspec.Struct):
    """An allowed invitation, when that was, and the facts of its being sent: notice and round."""

    decision: InvitationAllowed
    at_ns: int
    sent: set[tuple[str, int]] = msgspec.field(default_factory=set)


class SentRecount:
    """Compares the facts of sent invitations with what stood in the journal up to the record that they name."""

    def __init__(
        self, checks: dict[Check, CheckResult], scratch: sqlite3.Connection, sent: Iterator[NoticeFact]
    ) -> None:
        self._consent = checks[Check.SENT_WITHOUT_CONSENT]
        self._cap = checks[Check.SENT_OVER_CAP]
        self._quiet = checks[Check.SENT_IN_QUIET_HOURS]
        self._facts = sent
        self._next = next(sent, None)
        self._members = SpillMap(scratch, "told_members", Chosen)
        self._allowed: dict[str, Allowed] = {}
        self._entries = 0

    def entry(self, name: str, entry: Entry, event: AnyEvent | None) -> None:
        """Take in an entry, called `name`."""
        if self._next is None:
            # Nothing is left to compare: what members choose now does not matter.
            return
        for index, decision in enumerate(entry.decisions):
            if isinstance(decision, MemberChose):
                self._member(decision.member).choices = decision.choices
            elif isinstance(decision, InvitationAllowed):
                self._allowed[f"{name}/{index}"] = Allowed(decision, entry.at)
            elif isinstance(decision, d.MemberNoted) and isinstance(event, MemberBlockedEvent):
                self._block(event.data)
        self._members.settle()
        self._entries += 1
        if self._entries % LOOKED_THROUGH_EVERY == 0:
            # Long past its usefulness nothing may be sent: a fact that says so all the same finds nothing.
            over_ns = entry.at - KEPT_NS
            self._allowed = {key: each for key, each in self._allowed.items() if each.decision.useful_until > over_ns}

    def record(self, seq: int) -> None:
        """Look at what was sent while the record at `seq` was the last known."""
        while self._next is not None and self._next.data.as_of <= seq:
            self._check(self._next)
            self._next = next(self._facts, None)

    def finish(self) -> None:
        """Look at what names records that the archive does not hold."""
        while self._next is not None:
            self._check(self._next)
            self._next = next(self._facts, None)

    def _member(self, name: str) -> Chosen:
        known = self._members.get(name)
        if known is None:
            known = Chosen()
            self._members.put(name, known)
        return known

    def _block(self, data: MemberBlocked) -> None:
        if data.other is not None:
            self._member(data.member).apart[data.other] = not data.lifted
            self._member(data.other).apart[f"by {data.member}"] = not data.lifted

    def _check(self, fact: NoticeFact) -> None:
        for check in (self._consent, self._cap, self._quiet):
            check.checked += 1
        allowed = self._allowed.get(fact.data.decision)
        if allowed is None:
            sentence = f"notice {fact.data.notice}: an invitation was sent that no decision {fact.data.decision} allows"
            self._cap.fail(entry_of(fact), sentence)
            return
        # What counts once in a day's number is sent once; again only after it had failed, in another round.
        told = (fact.data.notice, fact.data.round)
        if told in allowed.sent:
            self._cap.fail(entry_of(fact), f"notice {fact.data.notice}: one allowed invitation was sent more than once")
        allowed.sent.add(told)
        self._check_consent(fact, allowed)
        self._check_quiet(fact)

    def _check_consent(self, fact: NoticeFact, allowed: Allowed) -> None:
        data, decision = fact.data, allowed.decision
        chosen = self._member(decision.invitee)
        channel = data.channel.partition(":")[0]
        stands = any(
            (c.withdrawn_at is None or c.withdrawn_at < allowed.at_ns)
            and (c.standing or (decision.grant is not None and decision.grant <= c.granted))
            for c in chosen.choices.consents or ()
            if (c.purpose, c.channel) == (INVITATION, channel)
        )
        apart = chosen.apart.get(decision.inviter) or chosen.apart.get(f"by {decision.inviter}")
        if not stands or data.member != decision.invitee:
            sentence = f"{data.member} was sent an invitation by {data.channel} and had not agreed to it, or no longer"
            self._consent.fail(entry_of(fact), sentence)
        elif apart or decision.pool in (chosen.choices.pools_blocked or ()):
            self._consent.fail(entry_of(fact), f"{data.member} was sent an invitation that a block forbids")

    def _check_quiet(self, fact: NoticeFact) -> None:
        data = fact.data
        choices = self._member(data.member).choices
        quiet = data.quiet if choices.quiet is None else f"{choices.quiet.begins}-{choices.quiet.ends}"
        zone = choices.timezone or data.zone
        judged_at_ns = data.judged_at_ns if data.judged_at_ns is not None else fact.at_ns
        if quiet is None or quiet[:5] == quiet[6:]:
            return
        if zone is None or zone not in timezones.names():
            self._quiet.fail(entry_of(fact), f"{data.member} was sent an invitation with no time zone known")
        elif is_within(quiet, zone, judged_at_ns):
            self._quiet.fail(entry_of(fact), f"{data.member} was sent an invitation in quiet hours ({quiet}, {zone})")


def is_within(quiet: str, zone: str, at_ns: int) -> bool:
    """Tell whether the clock of a zone is within `HH:MM-HH:MM` at a time."""
    own = ZoneInfo.from_file(BytesIO(timezones.file(zone)))
    local = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(own).strftime("%H:%M")
    begins, _, ends = quiet.partition("-")
    return begins <= local < ends if begins <= ends else local >= begins or local < ends
