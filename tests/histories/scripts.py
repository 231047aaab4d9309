"""Histories that are told and not drawn: for what random markets do not come to. A new family adds its own here."""

from collections.abc import Callable
from typing import Final

from tests.builders import (
    DAY,
    S,
    answered,
    appealed,
    cancelled,
    claimed,
    evidenced,
    joined,
    market,
    market_restored,
    offer,
    paid,
    payment,
    posted,
    refund_settled,
    resolved,
    ticked,
)
from tests.ledger_market import Story


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


def disputes() -> Story:
    """Claims of every kind of end: refunded, rejected, appealed, proposed and agreed to, overdue, a seat restored."""
    day_s = DAY // S
    story = Story(market(disputes={"second_approver": ["bulk"]}), offer(), offer("jam", size=3, group_ttl_s=90 * day_s))
    for number in range(12):
        one, other, third = f"a{number}", f"b{number}", f"c{number}"
        story.at(40 * day_s * number + 10)
        story.tell(*(posted(one, "ann", payment=payment(payment=f"p{one}")), joined(other, "bob"), paid(other)))
        story.tell(posted(third, f"cem-{number}", offer="jam"), joined(f"d{number}", f"dan-{number}", offer="jam"))
        story.tell(paid(f"d{number}"))
        story.tell(*(claimed(order, who, f"d-{order}") for order, who in ((one, "ann"), (other, "bob"))), by="operator")
        story.tell(claimed("n-1", f"eva-{number}", f"d-n{number}", about="notice"), by="operator")
        story.tell(evidenced(f"{number:064x}", f"d-{one}"), answered(f"d-{one}"), by="operator")
        story.tell(resolved("refund", f"d-{one}", remedy={"amount_minor": 100 + number}), by="operator")
        story.tell(resolved("refund", f"d-{other}"), appealed(f"d-{one}"), by="operator")
        story.tell(resolved("refund", f"d-{one}"), resolved("refund", f"d-{one}", actor="cs-8"), by="operator")
        story.at(40 * day_s * number + 2_000).tell(ticked())
        lost = claimed(third, f"cem-{number}", f"d-{third}", incident=f"i-{number}")
        story.tell(
            lost, *(resolved("seat", f"d-{third}", actor=who) for who in ("cs-7", "cs-7", "cs-8")), by="operator"
        )
        story.at(40 * day_s * number + 4 * day_s).tell(ticked())
        story.tell(resolved("none", f"d-{other}"), by="operator")
        story.at(40 * day_s * number + 30 * day_s).tell(ticked())
    return story


SCRIPTS: Final[dict[str, Callable[[], Story]]] = {"rule-1-restored": restored, "rule-1-disputes": disputes}
"""By the name of the history."""
