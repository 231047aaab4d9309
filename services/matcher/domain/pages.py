"""The pages in which the closing of a group names its seats."""

from events.limits import SEATS_PER_PAGE
from services.matcher.domain.state import Group


def seats_of(group: Group) -> tuple[str, ...]:
    """Return the orders of `group` in seat order, as its property `seats` does it, which is not compiled."""
    sitting = group.sitting
    if sitting is None:
        return ()
    return (sitting,) if isinstance(sitting, str) else sitting


def page_seats(group: Group, page: int) -> tuple[str, ...]:
    """Return the orders that page `page` (from 1) of the closing of `group` names."""
    return seats_of(group)[(page - 1) * SEATS_PER_PAGE : page * SEATS_PER_PAGE]


def pages_of(group: Group) -> int:
    """Return how many pages the closing of `group` has; at least one."""
    return max(1, -(-len(seats_of(group)) // SEATS_PER_PAGE))
