"""Histories that are told and not drawn: for what random markets do not come to. A new family adds its own here."""

from collections.abc import Callable
from typing import Final

from tests.builders import cancelled, joined, market_restored, offer, paid, posted, refund_settled, ticked
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


SCRIPTS: Final[dict[str, Callable[[], Story]]] = {"rule-1-restored": restored}
"""By the name of the history."""
