"""Checks on disputes: what is late is refused, nobody decides twice or alone, what is due by itself is done."""

import msgspec

from events.times import NS_PER_S
from tests.simulation.checks.history import History, Told, must


class _Dispute(msgspec.Struct):
    """A dispute as it stands."""

    answer_until: int
    resolve_until: int
    is_answered: bool
    appeal_until: int = 0
    resolved_by: set[str] = set()
    state: str = "open"
    is_overdue: bool = False
    appeals: int = 0


def _follow(known: dict[str, _Dispute], told: Told) -> None:
    what, at, name = told.what, told.entry.at, told.name
    if told.kind == "dispute.opened":
        must(what.dispute not in known, f"{name}: {what.dispute} is opened twice")
        known[what.dispute] = _Dispute(what.answer_until, what.resolve_until, what.incident is not None)
        return
    dispute = known[what.dispute]
    match told.kind:
        case "dispute.answered":
            must(dispute.state == "open", f"{name}: {what.dispute} is answered and {dispute.state}")
            must(at < dispute.answer_until, f"{name}: {what.dispute} is answered too late")
            dispute.is_answered |= what.party != "member"
        case "dispute.evidenced" | "dispute.proposed":
            must(dispute.state == "open", f"{name}: {what.dispute} is {dispute.state}")
        case "dispute.resolved":
            _resolved(dispute, told)
        case "dispute.appealed":
            must(dispute.state == "resolved", f"{name}: {what.dispute} is appealed against and {dispute.state}")
            must(at < dispute.appeal_until, f"{name}: the appeal in {what.dispute} is too late")
            dispute.appeals += 1
            must(dispute.appeals == 1, f"{name}: a second appeal in {what.dispute}")
            dispute.state, dispute.resolve_until, dispute.is_overdue = "open", what.resolve_until, False
        case "dispute.overdue":
            due = dispute.answer_until if what.stage == "answer" else dispute.resolve_until
            must(at >= due, f"{name}: {what.dispute} is overdue before its time")
            must(dispute.state == "open", f"{name}: {what.dispute} is overdue and {dispute.state}")
            dispute.is_overdue |= what.stage == "resolution"
        case "dispute.closed":
            must(dispute.state == "resolved", f"{name}: {what.dispute} is closed and {dispute.state}")
            must(at >= dispute.appeal_until, f"{name}: {what.dispute} is closed while an appeal is open")
            dispute.state = "final"


def _resolved(dispute: _Dispute, told: Told) -> None:
    what, at, name = told.what, told.entry.at, told.name
    must(dispute.state == "open", f"{name}: {what.dispute} is resolved and {dispute.state}")
    heard = dispute.is_answered or at >= dispute.answer_until or dispute.appeals
    must(heard, f"{name}: {what.dispute} is resolved while an answer is awaited")
    actors = {what.actor, *([what.second] if what.second else [])}
    must(not (dispute.appeals and actors & dispute.resolved_by), f"{name}: who decided {what.dispute} decides again")
    must(what.second != what.actor, f"{name}: {what.actor} agrees with themselves about {what.dispute}")
    dispute.resolved_by |= actors
    dispute.state, dispute.appeal_until = "resolved", what.appeal_until


def disputes_take_their_course(history: History) -> None:
    """Answers, resolutions and appeals in their time, by whoever may, and what is due by itself told in time."""
    known: dict[str, _Dispute] = {}
    for told in history.decisions:
        if told.kind.startswith("dispute."):
            _follow(known, told)
    if history.world.setting.clock == "event":
        return
    now_ns = history.world.loop.now_ns() - 60 * NS_PER_S
    for name, dispute in known.items():
        silent = dispute.state == "open" and not dispute.is_overdue and dispute.resolve_until < now_ns
        must(not silent, f"{name} is overdue, and nobody was told")
        must(dispute.state != "resolved" or dispute.appeal_until >= now_ns, f"{name} is final, and nobody was told")
