"""From what became of a notice to the fact about it: pure."""

import hashlib

from events.notice import NoticeData, NoticeFact, NoticeType, ToldData, ToldFact
from events.subjects import PREFIX
from events.times import format_time_ns
from services.notifier.policy.judge import Send
from services.notifier.policy.purposes import ID_CHARS, Notice, Purpose
from services.notifier.policy.quiet import quiet_text


def notice_data(notice: Notice, notice_id: str, channel: str, as_of: int) -> NoticeData:
    """Return what every fact says of a notice; whoever makes the fact adds what became of it."""
    return NoticeData(
        at_ns=0,
        notice=notice_id,
        decision=notice.decision,
        record=notice.record,
        as_of=as_of,
        member=notice.member,
        purpose=notice.purpose.value,
        kind=notice.kind.value,
        channel=channel,
        group=notice.group,
        inviter=notice.inviter,
        pool=notice.pool,
    )


def streamed_data(member: str, entry: str, kind: str, as_of: int) -> NoticeData:
    """Return what the fact says of a result that went out by an event stream; its record is not known there."""
    identity = f"{entry}\n{kind}\n{member}\n{Purpose.RESULT}\nsse"
    return NoticeData(
        at_ns=0,
        notice=hashlib.sha256(identity.encode()).hexdigest()[:ID_CHARS],
        decision=entry,
        record=0,
        as_of=as_of,
        member=member,
        purpose=Purpose.RESULT.value,
        kind=kind,
        channel="sse",
    )


def under(data: NoticeData, verdict: Send) -> NoticeData:
    """Write down what the permission to send rests on."""
    data.permission = _permission_text(verdict)
    data.zone, data.quiet = verdict.zone, quiet_text(verdict.quiet)
    return data


def _permission_text(verdict: Send) -> str | None:
    if verdict.permission is None:
        return None
    return "standing" if verdict.permission.grant is None else f"grant {verdict.permission.grant}"


def fact(market: str, kind: NoticeType, data: NoticeData, count: int, at_ns: int) -> NoticeFact:
    """Return the `count`th fact of a notice."""
    assert count >= 1, "facts of a notice count from 1"
    data.at_ns = at_ns
    return NoticeFact(
        type=kind,
        id=f"{data.notice}.{count}",
        source=_source(market),
        time=format_time_ns(at_ns),
        data=data,
    )


def told_fact(market: str, own_id: str, data: ToldData) -> ToldFact:
    """Return the fact that many members were told on their own subjects."""
    return ToldFact(id=own_id, source=_source(market), time=format_time_ns(data.at_ns), data=data)


def _source(market: str) -> str:
    return f"/{PREFIX}/{market}/notifier"
