"""The recount of invitations: whether each that was allowed had the invitee's consent, met no block and kept the caps.

It follows what members and market said, the events themselves, and counts anew; of the decisions it takes only that
an event was accepted and an invitation allowed. Labels that a member prefers are not looked at.
"""

import sqlite3

import msgspec

from events import decisions as d
from events import invitation, market, member
from events.market import InvitationRules
from events.member_decisions import InvitationAllowed, MemberChose
from events.record import Entry
from events.registry import AnyEvent
from events.times import NS_PER_S
from services.bus.timezones import local_date
from services.ledger.audit_accounts import Check, CheckResult
from services.ledger.scratch import SpillMap


class GrantAccount(msgspec.Struct):
    """Consent to invitations by one channel; one-time grants are numbered, those up to `lapsed` are void."""

    standing: bool = False
    granted: int = 0
    lapsed: int = 0


class MemberAccount(msgspec.Struct):
    """What a member said about being invited."""

    grants: dict[str, GrantAccount] = {}
    purposes: list[str] | None = None
    kinds: list[str] | None = None
    timezone: str | None = None
    apart: dict[str, bool] = {}
    """Members that it blocked, or that blocked it and have not lifted that: theirs begin with `by `."""
    pools: dict[str, bool] = {}


class DayAccount(msgspec.Struct):
    """Invitations in a calendar day: the one on which the first of them was, in the zone of that moment."""

    zone: str
    date: int
    count: int = 0


class PauseAccount(msgspec.Struct):
    """When one member last invited another, and how long it had to wait from then."""

    at: int
    pause_ns: int


class InvitationRecount:
    """Follows members and invitations through the entries."""

    def __init__(self, checks: dict[Check, CheckResult], scratch: sqlite3.Connection) -> None:
        self._consent = checks[Check.INVITED_WITHOUT_CONSENT]
        self._caps = checks[Check.INVITED_OVER_CAP]
        self._blocks = checks[Check.INVITED_AGAINST_BLOCK]
        self._members = SpillMap(scratch, "members", MemberAccount)
        self._days = SpillMap(scratch, "invitation_days", DayAccount)
        self._pauses = SpillMap(scratch, "invitation_pauses", PauseAccount)
        self._rules = InvitationRules()
        self._zone = "UTC"

    def entry(self, name: str, entry: Entry, event: AnyEvent | None) -> None:
        """Add an entry, called `name`."""
        if event is None or not entry.decisions:
            return
        first = entry.decisions[0]
        if isinstance(first, d.MarketSet) and isinstance(event, market.MarketConfiguredEvent):
            self._rules = event.data.invitations or InvitationRules()
            self._zone = event.data.timezone
        elif isinstance(first, d.MemberNoted) and isinstance(event, member.MemberBlockedEvent):
            self._note_block(event.data)
        elif isinstance(first, MemberChose):
            self._note_choice(event)
        elif isinstance(first, InvitationAllowed):
            assert isinstance(event, invitation.InvitationRequestedEvent), "only a request is allowed"
            self._check_consent(name, first)
            self._check_blocks(name, first)
            self._check_caps(name, first, entry.at)
        for spill in (self._members, self._days, self._pauses):
            spill.settle()

    # What members said

    def _member(self, name: str) -> MemberAccount:
        account = self._members.get(name)
        if account is None:
            account = MemberAccount()
            self._members.put(name, account)
        return account

    def _note_block(self, data: member.MemberBlocked) -> None:
        assert data.other is not None, "what is noted is a block of a member"
        for account, key in ((self._member(data.member), data.other), (self._member(data.other), f"by {data.member}")):
            account.apart[key] = not data.lifted

    def _note_choice(self, event: AnyEvent) -> None:
        data = event.data
        if isinstance(data, member.MemberConsented):
            self._note_consent(data)
        elif isinstance(data, member.MemberWithdrew):
            for channel, grant in self._member(data.member).grants.items():
                if data.purpose in (None, "invitation") and data.channel in (None, channel):
                    grant.standing, grant.lapsed = False, grant.granted
        elif isinstance(data, member.MemberPreferred):
            account = self._member(data.member)
            account.purposes = account.purposes if data.purposes is None else list(data.purposes)
            account.kinds = account.kinds if data.kinds is None else data.kinds
            account.timezone = data.timezone or account.timezone
        elif isinstance(data, member.MemberBlocked) and data.pool is not None:
            self._member(data.member).pools[data.pool] = not data.lifted

    def _note_consent(self, data: member.MemberConsented) -> None:
        if data.purpose != "invitation":
            return
        grant = self._member(data.member).grants.setdefault(data.channel, GrantAccount())
        if data.one_time:
            grant.granted += 1
        else:
            grant.standing = True

    # What was allowed

    def _check_consent(self, name: str, allowed: InvitationAllowed) -> None:
        self._consent.checked += 1
        account = self._member(allowed.invitee)
        grant = account.grants.get(allowed.channel, GrantAccount())
        what = f"invitation {allowed.invitation}: member {allowed.invitee}"
        if account.purposes is not None and "invitation" not in account.purposes:
            self._consent.fail(name, f"{what} wants no invitations")
        elif allowed.group is not None and account.kinds is not None and "group" not in account.kinds:
            self._consent.fail(name, f"{what} wants to hear of no groups")
        elif allowed.grant is None and not grant.standing:
            self._consent.fail(name, f"{what} has not agreed to invitations by {allowed.channel}")
        elif allowed.grant is not None and not grant.lapsed < allowed.grant <= grant.granted:
            self._consent.fail(name, f"{what} has no one-time grant {allowed.grant} left for {allowed.channel}")
        if allowed.grant is not None:
            grant.lapsed = max(grant.lapsed, allowed.grant)

    def _check_blocks(self, name: str, allowed: InvitationAllowed) -> None:
        self._blocks.checked += 1
        account = self._member(allowed.invitee)
        if account.apart.get(allowed.inviter) or account.apart.get(f"by {allowed.inviter}"):
            sentence = f"members {allowed.inviter} and {allowed.invitee} keep apart"
            self._blocks.fail(name, f"invitation {allowed.invitation}: {sentence}")
        if allowed.pool is not None and account.pools.get(allowed.pool):
            sentence = f"member {allowed.invitee} keeps away from pool {allowed.pool}"
            self._blocks.fail(name, f"invitation {allowed.invitation}: {sentence}")

    def _check_caps(self, name: str, allowed: InvitationAllowed, at: int) -> None:
        self._caps.checked += 1
        rules = self._rules
        for role, who, cap in (
            ("inviter", allowed.inviter, rules.inviter_per_day),
            ("invitee", allowed.invitee, rules.invitee_per_day),
            ("pool", allowed.pool, rules.pool_per_day),
        ):
            if who is None:
                continue
            zone = self._zone if role == "pool" else self._member(who).timezone or self._zone
            count = self._count(f"{role} {who}", zone, at)
            if count > cap:
                sentence = f"it is number {count} of {role} {who} on that day, {cap} are allowed"
                self._caps.fail(name, f"invitation {allowed.invitation}: {sentence}")
        pair = f"{allowed.inviter} {allowed.invitee}"
        last = self._pauses.get(pair)
        if last is not None and at < last.at + last.pause_ns:
            self._caps.fail(name, f"invitation {allowed.invitation}: the pause between the two was not kept")
        self._pauses.put(pair, PauseAccount(at, rules.pause_s * NS_PER_S))

    def _count(self, key: str, zone: str, at: int) -> int:
        day = self._days.get(key)
        if day is None or local_date(day.zone, at) > day.date:
            day = DayAccount(zone, local_date(zone, at))
            self._days.put(key, day)
        day.count += 1
        return day.count
