"""What seats cost under an offer's terms."""

from typing import Any

from services.matcher.domain.handed import Handed
from services.matcher.domain.terms import Terms


def payable_minor(terms: Terms, quantity: int, *, leads: bool) -> Handed:
    """Return what a seat costs when it is taken: the price at the smallest size that can fill."""
    as_they_are: Any = terms
    unit: Handed
    if terms.hold_s == 0:
        return 0
    if leads and terms.leader_minor is not None:
        unit = as_they_are.leader_minor
    elif not terms.tiers:
        unit = as_they_are.group_minor
    else:
        unit = _unit_price_minor(terms, min(terms.size, terms.fill_if_at_least or terms.size))
    # The very same integer for every order of one: a million of them would take 32 MB.
    return unit if quantity == 1 else unit * quantity


def final_unit_minor(terms: Terms, size: int, *, leads: bool) -> int:
    """Return what one unit costs in a group that filled at `size`."""
    if terms.hold_s == 0:
        return 0
    unit = _unit_price_minor(terms, size)
    return min(unit, terms.leader_minor) if leads and terms.leader_minor is not None else unit


def _unit_price_minor(terms: Terms, size: int) -> int:
    """Return the price of one unit in a group that reached `size`."""
    price = terms.group_minor
    for tier in terms.tiers:
        if tier.size <= size:
            price = tier.price_minor
    return price
