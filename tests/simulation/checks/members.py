"""Checks on members: invitations by consent and within caps, blocks, sanctions and own limits that are kept."""

import datetime
from collections import Counter, defaultdict
from typing import Any, Final

from events.times import NS_PER_S
from tests.simulation.checks.history import History, Told, must

_ORDERS: Final = ("groupbuy.order.posted.v1", "groupbuy.order.joined.v1")
_BANS: Final = {"member.banned": ("seat", "assist", "invitation"), "member.limited": ("assist", "invitation")}
DAY_NS: Final = 86_400 * NS_PER_S


class _Members:
    """Follows what members said and what was allowed to them."""

    def __init__(self, history: History) -> None:
        self.rules = history.world.setting.invitations
        self.zone = history.world.setting.zone
        self.consents: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        """(member, channel) -> [standing, granted, lapsed] for invitations."""
        self.apart: set[tuple[str, str]] = set()
        self.pools: set[tuple[str, str]] = set()
        self.invited: Counter[tuple[str, str, datetime.date]] = Counter()
        self.last_at: dict[tuple[str, str], int] = {}
        self.kept_from: dict[tuple[str, str], int] = {}
        """(member, what) -> until when it is not allowed."""
        self.sanctions: dict[str, int] = {}
        self.limits: dict[tuple[str, str], tuple[int, int]] = {}
        """(member, groups or assists) -> (most, since when)."""
        self.used: Counter[tuple[str, str, str]] = Counter()

    def hear(self, told: Told, event: dict[str, Any]) -> None:
        """Take what an accepted event of a member says."""
        data, verb = event["data"], event["type"].removeprefix("groupbuy.member.").removesuffix(".v1")
        if told.kind == "member.chose" and verb == "consented" and data["purpose"] == "invitation":
            consent = self.consents[data["member"], data["channel"]]
            if data.get("one_time"):
                consent[1] += 1
            else:
                consent[0] = 1
        if told.kind == "member.chose" and verb == "withdrew" and data.get("purpose", "invitation") == "invitation":
            for (member, channel), consent in self.consents.items():
                if member == data["member"] and data.get("channel", channel) == channel:
                    consent[0], consent[2] = 0, consent[1]
        if verb == "blocked" and told.kind in ("member.noted", "member.chose"):
            kept, other = (self.pools, data["pool"]) if "pool" in data else (self.apart, data["other"])
            (kept.discard if data.get("lifted") else kept.add)((data["member"], other))
        if told.kind == "member.chose" and verb == "limited_self":
            self._limit(told, data)

    def _limit(self, told: Told, data: dict[str, Any]) -> None:
        member = data["member"]
        for name in ("groups", "assists"):
            known = self.limits.get((member, name))
            if name in data and (known is None or data[name] <= known[0]):
                self.limits[member, name] = (data[name], told.entry.at)
            elif name in data or name in data.get("remove", ()):
                # A higher one, or none, is in force a day later: what comes then is not looked at here.
                self.limits.pop((member, name), None)

    def decide(self, told: Told, event: dict[str, Any] | None) -> None:
        """Check and book one decision."""
        kind, what = told.kind, told.what
        given = event["type"] if event is not None else ""
        if kind == "invitation.allowed":
            self._allowed(told)
        elif kind in ("seat.held", "seat.confirmed") and given in _ORDERS:
            self._check_kept_from(told, what.member, "seat")
            self._use(told, what.member, "groups")
        elif kind in ("assist.counted", "assist.held") and given == "groupbuy.assist.given.v1":
            self._check_kept_from(told, what.member, "assist")
            if kind == "assist.counted":
                self._use(told, what.member, "assists")
        elif kind in ("member.warned", "member.limited", "member.banned"):
            self.sanctions[what.member] = what.until
            for act in _BANS.get(kind, ()):
                self.kept_from[what.member, act] = what.until
        elif kind == "member.reinstated":
            self._reinstated(told)

    def _reinstated(self, told: Told) -> None:
        what = told.what
        until = self.sanctions.pop(what.member, 0)
        if what.cause == "expired":
            must(told.entry.at >= until, f"{told.name}: the sanction on {what.member} ends before its time")
        for act in ("seat", "assist", "invitation"):
            self.kept_from.pop((what.member, act), None)

    def _check_kept_from(self, told: Told, member: str, act: str) -> None:
        until = self.kept_from.get((member, act), 0)
        must(told.entry.at >= until, f"{told.name}: {member} may not have a {act} before {until}")

    def _use(self, told: Told, member: str, what: str) -> None:
        limit = self.limits.get((member, what))
        if limit is None:
            return
        week = "{}-{}".format(*self._date(told).isocalendar()[:2])
        self.used[member, what, week] += 1
        within = self.used[member, what, week] <= limit[0]
        must(within, f"{told.name}: {member} wanted at most {limit[0]} {what} a week")

    def _allowed(self, told: Told) -> None:
        what, at = told.what, told.entry.at
        consent = self.consents[what.invitee, what.channel]
        agreed = consent[0] or consent[1] > consent[2]
        must(agreed, f"{told.name}: {what.invitee} is invited by {what.channel} without having agreed to it")
        if not consent[0]:
            consent[2] += 1
            must(what.grant == consent[2], f"{told.name}: grant {what.grant} is taken, the next is {consent[2]}")
        pair = (what.inviter, what.invitee)
        must(not {pair, pair[::-1]} & self.apart, f"{told.name}: {pair} keep apart, and one is invited")
        must((what.invitee, what.pool) not in self.pools, f"{told.name}: {what.invitee} keeps away from {what.pool}")
        soon = self.last_at.get(pair, 0) + self.rules["pause_s"] * NS_PER_S
        must(at >= soon or pair not in self.last_at, f"{told.name}: {pair} is invited again too soon")
        self.last_at[pair] = at
        self._check_kept_from(told, what.inviter, "invitation")
        day = self._date(told)
        for name, cap in (("inviter", what.inviter), ("invitee", what.invitee), ("pool", what.pool)):
            if cap is not None:
                self.invited[name, cap, day] += 1
                most = self.rules[f"{name}_per_day"]
                count = self.invited[name, cap, day]
                must(count <= most, f"{told.name}: {count} invitations for the {name} {cap}, allowed are {most}")

    def _date(self, told: Told) -> datetime.date:
        return datetime.datetime.fromtimestamp(told.entry.at // NS_PER_S, self.zone).date()


def members_are_left_in_peace(history: History) -> None:
    """Nobody is invited against their word or past a cap; who is kept from something does not do it."""
    books = _Members(history)
    for told in history.decisions:
        event = history.event_of(told.entry)
        books.decide(told, event)
        if event is not None and told.what is told.entry.decisions[0] and event["type"].startswith("groupbuy.member."):
            books.hear(told, event)
    if history.world.setting.clock != "event":
        now_ns = history.world.loop.now_ns() - 60 * NS_PER_S
        late = [member for member, until in books.sanctions.items() if until < now_ns]
        must(not late, f"sanctions last longer than they were to: {late[:3]}")
