"""The pages in which the closing of a group names its seats."""

from events.limits import SEATS_PER_PAGE
from services.matcher.domain.state import Group


def page_seats(group: Group, page: int) -> tuple[str, ...]:
    """Return the orders that page `page` (from 1) of the closing of `group` names."""
    return group.seats[(page - 1) * SEATS_PER_PAGE : page * SEATS_PER_PAGE]


def pages_of(group: Group) -> int:
    """Return how many pages the closing of `group` has; at least one."""
    return max(1, -(-len(group.seats) // SEATS_PER_PAGE))
