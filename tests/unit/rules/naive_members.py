"""Consent, invitations and own limits once more, naively: a list of what happened, looked through each time.

Written from RULES.md section 8, sharing nothing with the rules but the contract; days and weeks come from
zoneinfo over the pinned files, a minute at a time.
"""

from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

DAY_S = 86_400
Event = dict[str, Any]


@lru_cache
def _zone(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


@lru_cache(maxsize=100_000)
def _local(zone: str, at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).astimezone(_zone(zone))


def day_end_s(zone: str, at_s: int) -> int:
    """Return the first whole minute of a later date."""
    later = at_s - at_s % 60 + 60
    while _local(zone, later).date() <= _local(zone, at_s).date():
        later += 60
    return later


def week_of(zone: str, at_s: int) -> tuple[int, int]:
    """Return the ISO year and week."""
    return _local(zone, at_s).date().isocalendar()[:2]


class NaiveMembers:
    """Everything that was said and allowed, in order, with the second in which it was."""

    def __init__(self, zone: str, rules: dict[str, int]) -> None:
        self.zone = zone
        self.rules = rules
        self.said: list[tuple[int, str, Event]] = []
        self.allowed: list[tuple[int, Event, int | None]] = []
        self.refused: list[tuple[int, str, str | None]] = []

    def hear(self, at_s: int, kind: str, data: Event) -> None:
        """Keep what a member said."""
        self.said.append((at_s, kind, data))

    # Choices

    def _choice(self, member: str, name: str) -> Any:
        found = [
            d[name]
            for _, k, d in self.said
            if k == "member.preferred" and d["member"] == member and d.get(name) is not None
        ]
        return found[-1] if found else None

    def _grants(self, member: str, channel: str) -> tuple[bool, list[int]]:
        """Return (standing, numbers of one-time grants that are left) of consent to invitations."""
        standing, left, given = False, [], 0
        taken = {grant for _, d, grant in self.allowed if d["invitee"] == member and d["channel"] == channel}
        for _, kind, data in self.said:
            if data["member"] != member:
                continue
            if kind == "member.consented" and (data["purpose"], data["channel"]) == ("invitation", channel):
                if data.get("one_time"):
                    given += 1
                    left.append(given)
                else:
                    standing = True
            elif kind == "member.withdrew":
                purpose, of = data.get("purpose"), data.get("channel")
                if purpose in (None, "invitation") and of in (None, channel):
                    standing, left = False, []
        return standing, [number for number in left if number not in taken]

    def _blocked(self, one: str, other: str) -> bool:
        standing = set()
        for _, kind, data in self.said:
            if kind == "member.blocked" and data.get("other") is not None:
                pair = (data["member"], data["other"])
                standing = standing - {pair} if data.get("lifted") else standing | {pair}
        return (one, other) in standing or (other, one) in standing

    def _keeps_away(self, member: str, pool: str) -> bool:
        said = [d for _, k, d in self.said if k == "member.blocked" and d["member"] == member and d.get("pool") == pool]
        return bool(said) and not said[-1].get("lifted")

    # Invitations

    def invite(self, at_s: int, data: Event) -> Event:
        """Return what is decided about an invitation to a pool, and keep it."""
        reason = self._against(at_s, data)
        if reason is None:
            standing, left = self._grants(data["invitee"], data["channel"])
            grant = None if standing else left[0]
            self.allowed.append((at_s, data, grant))
            return {"kind": "invitation.allowed"} | ({"grant": grant} if grant is not None else {})
        return {"kind": "invitation.refused", "reason": reason} | self._consequence(at_s, data["inviter"], reason)

    def _against(self, at_s: int, data: Event) -> str | None:
        inviter, invitee, pool = data["inviter"], data["invitee"], data["pool"]
        wanted = self._choice(invitee, "purposes")
        standing, left = self._grants(invitee, data["channel"])
        last = [at for at, d, _ in self.allowed if (d["inviter"], d["invitee"]) == (inviter, invitee)]
        if self._limited_until(inviter) > at_s:
            return "restricted"
        if self._blocked(inviter, invitee) or self._keeps_away(invitee, pool):
            return "blocked"
        if (wanted is not None and "invitation" not in wanted) or not (standing or left):
            return "no_consent"
        if last and at_s < last[-1] + self.rules["pause_s"]:
            return "too_soon"
        if self._today(at_s, "inviter", inviter) >= self.rules["inviter_per_day"]:
            return "capped_inviter"
        if self._today(at_s, "invitee", invitee) >= self.rules["invitee_per_day"]:
            return "capped_invitee"
        if self._today(at_s, "pool", pool) >= self.rules["pool_per_day"]:
            return "capped_pool"
        return None

    def _today(self, now_s: int, role: str, name: str) -> int:
        """Count in the day that runs: it began with its first invitation and ends with that one's calendar day."""
        count, ends_s = 0, 0
        for at_s, data, _ in self.allowed:
            if data[role] != name:
                continue
            if at_s >= ends_s:
                count, ends_s = 0, day_end_s(self._zone_then(name, role, at_s), at_s)
            count += 1
        return count if now_s < ends_s else 0

    def _zone_then(self, member: str, role: str, at_s: int) -> str:
        if role == "pool":
            return self.zone
        zones = [
            d["timezone"]
            for at, k, d in self.said
            if k == "member.preferred" and d["member"] == member and d.get("timezone") and at < at_s
        ]
        return zones[-1] if zones else self.zone

    def _limited_until(self, inviter: str) -> int:
        ends = [at for at, who, consequence in self.refused if who == inviter and consequence == "limited"]
        return ends[-1] + self.rules["limit_s"] if ends else 0

    def _consequence(self, at_s: int, inviter: str, reason: str) -> Event:
        count, ends_s = 0, 0
        for at, who, consequence in self.refused:
            if who != inviter:
                continue
            if at >= ends_s:
                count, ends_s = 0, at + self.rules["refusals_window_s"]
            count += 1
            if consequence == "limited":
                count, ends_s = 0, 0
        met = count if at_s < ends_s else 0
        if reason in ("restricted", "capped_invitee", "capped_pool"):
            return {"refusals": met} if met else {}
        consequence = {self.rules["limit_after"]: "limited", self.rules["warn_after"]: "warned"}.get(met + 1)
        self.refused.append((at_s, inviter, consequence))
        return {"refusals": met + 1} | ({"consequence": consequence} if consequence else {})


class NaiveLimits:
    """One member's own limits and orders, in order."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.set: list[tuple[int, str, int | None]] = []
        self.orders: list[tuple[int, str, int, bool]] = []
        """(when, order, minor units, whether a limit was in force)."""
        self.reminded: set[tuple[str, tuple[int, int]]] = set()

    def limit(self, at_s: int, name: str, most: int | None) -> None:
        """Set a limit, or remove it."""
        self.set.append((at_s, name, most))

    def most(self, name: str, now_s: int) -> int | None:
        """Return the limit in force: lower at once, higher a day later, a later word in place of one that waits."""
        most: int | None = None
        waits: tuple[int, int | None] | None = None
        for at_s, of, new in self.set:
            if of != name:
                continue
            if waits is not None and at_s >= waits[0]:
                most, waits = waits[1], None
            if most is not None and (new is None or new > most):
                waits = (at_s + DAY_S, new)
            else:
                most, waits = new, None
        return waits[1] if waits is not None and now_s >= waits[0] else most

    def order(self, at_s: int, order: str, price_minor: int) -> tuple[str | None, list[str]]:
        """Return (the reason against an order, of which limits the member is reminded) and keep the order."""
        groups, spending = self.most("groups", at_s), self.most("spending", at_s)
        reason = None
        if groups is not None and self._groups(at_s) + 1 > groups:
            reason = "self_limit_groups"
        elif spending is not None and self._spent(at_s) + price_minor > spending:
            reason = "self_limit_spending"
        else:
            self.orders.append((at_s, order, price_minor, groups is not None or spending is not None))
        week = week_of(self.zone, at_s)
        reached = []
        for name, most, used in (
            ("groups", groups, self._groups(at_s)),
            ("spending", spending, self._spent(at_s)),
        ):
            is_due = most is not None and (used >= most or reason == f"self_limit_{name}")
            if is_due and (name, week) not in self.reminded:
                self.reminded.add((name, week))
                reached.append(name)
        return reason, reached

    def give_up(self, order: str) -> None:
        """An order comes to nothing: the group was joined, the money not spent."""
        self.orders = [(at, o, 0 if o == order else minor, counted) for at, o, minor, counted in self.orders]

    def _groups(self, now_s: int) -> int:
        return sum(counted for at_s, _, _, counted in self.orders if self._same_week(at_s, now_s))

    def _spent(self, now_s: int) -> int:
        return sum(minor for at_s, _, minor, counted in self.orders if counted and self._same_week(at_s, now_s))

    def _same_week(self, one_s: int, other_s: int) -> bool:
        return week_of(self.zone, one_s) == week_of(self.zone, other_s)
