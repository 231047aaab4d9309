"""Histories that are told and not drawn: for what random markets do not come to. A new family adds its own here."""

from collections.abc import Callable
from typing import Final

from tests.builders import (
    answered,
    appealed,
    assist,
    bargain,
    blocked,
    cancelled,
    claimed,
    consented,
    evidenced,
    invited,
    joined,
    limited_self,
    lottery,
    market,
    market_restored,
    offer,
    paid,
    payment,
    play_closed,
    play_market,
    pool_blocked,
    posted,
    preferred,
    refund_settled,
    registered,
    reinstated,
    reported,
    resolved,
    sanctioned,
    signals,
    ticked,
    unlock,
    voided,
    withdrew,
)
from tests.ledger_market import Story

DAY_S: Final = 86_400


def restored() -> Story:
    """A market whose intake is lost twice while orders go on: each is decided from where the last one ended."""
    story = Story(offer(group_ttl_s=3_600), offer("jam", size=3, hold_s=60))
    for round_ in range(1, 9):
        story.at(600 * round_)
        for number in range(1, 5):
            name = f"{round_}-{number}"
            story.tell(posted(f"o{name}", f"ann-{name}"), joined(f"j{name}", f"bob-{name}"))
            story.tell(paid(f"o{name}", payment=f"p{name}"), joined(f"k{name}", f"cem-{name}", offer="jam"))
        story.tell(cancelled(f"o{round_}-1"), refund_settled("r-unknown"))
        if round_ in (3, 6):
            seen = len(story.messages)
            story.tell(market_restored(seen, f"intake-{round_}", f"intake-{round_ + 3}"), by="operator")
            story.tell(market_restored(seen, f"intake-{round_}", f"intake-{round_ + 3}"), by="operator")
        story.at(600 * round_ + 90).tell(ticked())
    return story


def members() -> Story:
    """Members choose, limit themselves, invite too often and against choices, and are reminded."""
    story = Story(offer(group_ttl_s=30 * DAY_S, size=50), offer("jam", size=3, group_minor=3_000))
    for day in range(1, 8):
        story.at(day * DAY_S + 9 * 3_600)
        for name in ("ann", "bob", "cem", "dan"):
            member, friend = f"{name}-{day % 3}", f"{name}-{(day + 1) % 3}"
            story.tell(registered(member), consented(member), consented(member, channel="email", one_time=True))
            story.tell(preferred(member, timezone=("Asia/Shanghai", "UTC")[day % 2], purposes=["invitation"]))
            story.tell(limited_self(member, groups=2 + day % 2), posted(None, member), posted(None, member))
            story.tell(posted(None, member, offer="jam"), invited(member, friend, pool="hz"), invited(friend, member))
            story.tell(invited(member, "stranger"), pool_blocked(friend, "hz"), invited(member, friend, pool="hz"))
            story.tell(withdrew(member, channel="email"), blocked(member, "eve"), invited("eve", member))
    return story


def disputes() -> Story:
    """Claims that are answered, proven, resolved, appealed and left lying, with a second approver for voiding."""
    story = Story(market(disputes={"second_approver": ["bulk"]}), offer(hold_s=900, group_ttl_s=3_600))
    for round_ in range(1, 15):
        day_s = round_ * 20 * DAY_S
        name, order = f"d-{round_}", f"o{round_}-1"
        story.at(day_s).tell(posted(order, f"ann-{round_}"), paid(order, payment=f"p{round_}-1"))
        story.tell(joined(f"o{round_}-2", f"bob-{round_}"), paid(f"o{round_}-2", payment=f"p{round_}-2"))
        story.at(day_s + DAY_S).tell(claimed(order, f"ann-{round_}", name), claimed(order, "nobody", f"x{round_}"))
        story.tell(claimed(f"o{round_}-2", f"bob-{round_}", f"b-{round_}", incident="outage"))
        story.tell(resolved("refund", f"b-{round_}"), resolved("refund", f"b-{round_}", actor="cs-9"))
        story.tell(evidenced(f"{round_:064x}", name))
        if round_ % 3:
            story.at(day_s + 2 * DAY_S).tell(answered(name))
            story.tell(resolved("refund", name, remedy={"kind": "refund", "amount_minor": 100 * round_}))
        if round_ % 3 == 1:
            story.at(day_s + 3 * DAY_S).tell(appealed(name), resolved("none", name, actor="other"))
        story.at(day_s + 19 * DAY_S).tell(ticked())
    return story


def plays() -> Story:
    """Bargains, lotteries and unlocks that are helped to their end, bought, corrected, and claimed for afterwards."""
    story = Story(play_market(), offer(), offer("drawn", winners=1, hold_s=0))
    for round_ in range(1, 9):
        day_s = round_ * 3 * DAY_S
        cut, draw, coupon = f"cut-{round_}", f"draw-{round_}", f"coupon-{round_}"
        story.at(day_s).tell(bargain(cut, helper_limit=6), unlock(coupon), lottery(draw, ttl_s=DAY_S, offer="tea"))
        for number in range(6):
            helper, sharer = f"h{round_}-{number}", f"h{round_}-{number - 1}" if number else "owner"
            story.at(day_s + 60 * number).tell(assist(cut, helper, assist=f"a{number}", via=sharer))
            story.tell(assist(draw, helper, assist=f"b{number}", via=sharer if number else "ann"))
            story.tell(assist(coupon, helper, assist=f"c{number}"))
            if number == 3:
                story.tell(*(voided(play, f"{a}1", f"h{round_}-1") for play, a in ((cut, "a"), (draw, "b"))))
        story.tell(voided(coupon, "c0", f"h{round_}-0"), play_closed(cut, "bought", order=f"order-{round_}"))
        story.tell(posted(f"o{round_}", "ann", payment=payment()), joined(f"j{round_}", "bob", payment=payment()))
        story.tell(posted(None, "cem", offer="drawn"), joined(None, "dan", offer="drawn"))
        story.at(day_s + 2 * DAY_S).tell(
            ticked(), voided(draw, "b2", f"h{round_}-2"), voided(cut, "a2", f"h{round_}-2")
        )
    return story


def standing() -> Story:
    """A device farm, complaints, and members who climb the ladder and are taken down again."""
    ladder = {"warn_at": 5, "limit_at": 10, "ban_at": 15, "warn_s": DAY_S, "limit_s": 2 * DAY_S, "ban_s": 3 * DAY_S}
    story = Story(play_market(standing=ladder), offer())
    terms = {"start_minor": 900_000, "floor_minor": 10_000}
    for round_ in range(1, 6):
        day_s = round_ * 6 * DAY_S
        named = [f"b{round_}-{number}" for number in range(4)]
        story.at(day_s).tell(*(bargain(b, f"o-{b}", helper_limit=500, ttl_s=20 * DAY_S, terms=terms) for b in named))
        for number in range(20):
            farmed = assist(named[0], f"farm{round_}-{number}", via=f"o-{named[0]}", signals=signals("phone", None, 9))
            story.at(day_s + 3_600 * (number + 1)).tell(farmed)
        member = f"m{round_}"
        for play in named[1:]:
            story.tell(assist(play, member, assist="a1"), voided(play, "a1", member))
        story.tell(posted(None, member), reported(member, "ann"), reported(member, "bob", "abuse"))
        story.tell(reinstated(member), sanctioned(member), sanctioned(member, "banned"), assist(named[1], member))
        story.at(day_s + 5 * DAY_S).tell(ticked(), posted(None, member))
    return story


SCRIPTS: Final[dict[str, Callable[[], Story]]] = {
    "rule-1-restored": restored,
    "rule-1-members": members,
    "rule-1-disputes": disputes,
    "rule-1-plays": plays,
    "rule-1-standing": standing,
}
"""By the name of the history."""
