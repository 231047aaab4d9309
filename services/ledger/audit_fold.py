"""The recount of groups, seats and stock: what the decisions say happened, added up anew.

It follows the events and decisions in the archive and the published rules, and shares no code with the matcher.
"""

from events import decisions as d
from events import market, offer
from events.counted import counted
from events.envelope import Event
from events.offer import OfferTerms
from events.record import Entry
from events.registry import AnyEvent
from services.ledger.audit_accounts import (
    Check,
    GroupAccount,
    OfferAccount,
    OrderAccount,
    Recount,
    overlaid,
    resolve_offer,
)


class SeatRecount:
    """Follows offers, groups and seats through the entries."""

    def __init__(self, recount: Recount) -> None:
        self._recount = recount
        self._defaults = OfferTerms()
        self._answered_at_ns = 0
        self._touched: dict[str, None] = {}

    def entry(self, entry: Entry, event: AnyEvent | None, answered_at_ns: int) -> None:
        """Add an entry; `answered_at_ns` is the accepted time of the last input answered before it."""
        self._answered_at_ns = answered_at_ns
        if event is not None and entry.decisions:
            self._event(entry, event)
        for decision in entry.decisions:
            self._decision(entry, decision)
        for group in self._touched:
            self._check_full(group)
        self._touched.clear()

    # Events: the rules

    def _event(self, entry: Entry, event: AnyEvent) -> None:
        first = entry.decisions[0]
        if isinstance(event, market.MarketConfiguredEvent) and isinstance(first, d.MarketSet):
            self._defaults = event.data.offer_defaults
        elif isinstance(first, d.OfferListed):
            self._offer_event(event, first)

    def _offer_event(self, event: Event, listed: d.OfferListed) -> None:
        known = self._recount.offers.get(listed.offer)
        if isinstance(event, offer.OfferPublishedEvent):
            known = resolve_offer(_terms(event.data), self._defaults)
        elif isinstance(event, offer.OfferChangedEvent) and known is not None:
            stock = known.stock
            known = resolve_offer(overlaid(known.terms, _terms(event.data)), self._defaults)
            known.stock = stock
        if known is None:
            self._recount.fail(Check.OUT_OF_PLACE, f"offer {listed.offer} was never published")
            return
        if isinstance(event, offer.OfferPublishedEvent):
            known.stock = event.data.skus or ({"": event.data.stock} if event.data.stock is not None else None)
        elif isinstance(event, offer.OfferStockedEvent) and known.stock is not None:
            sku = event.data.sku or ""
            known.stock[sku] = known.stock.get(sku, 0) + event.data.delta
        self._check_listed(listed, known)
        self._recount.offers.put(listed.offer, known)

    def _check_listed(self, listed: d.OfferListed, known: OfferAccount) -> None:
        self._recount.look(Check.STOCK)
        if listed.stock is not None and known.stock is not None and listed.stock != known.stock:
            self._recount.fail(
                Check.STOCK, f"offer {listed.offer} is listed with stock {listed.stock}, counted was {known.stock}"
            )
            known.stock = dict(listed.stock)

    # Decisions

    def _decision(self, entry: Entry, decision: d.AnyDecision) -> None:
        if isinstance(decision, d.SeatHeld | d.SeatConfirmed):
            self._seat(entry, decision)
        elif isinstance(decision, d.GroupOpened):
            self._opened(decision)
        elif isinstance(decision, d.SeatReleased):
            self._released(decision)
        elif isinstance(decision, d.GroupFilled | d.GroupExpired | d.GroupDissolved):
            self._closing(decision)
        elif isinstance(decision, d.GroupMerged):
            self._merged(decision)

    def _opened(self, decision: d.GroupOpened) -> None:
        self._recount.totals.groups_opened += 1
        self._recount.look(Check.OVERFILLED_GROUPS)
        self._recount.look(Check.STUCK_GROUPS)
        self._recount.look(Check.ENDED_TWICE)
        if self._recount.groups.get(decision.group) is not None:
            self._recount.fail(Check.OUT_OF_PLACE, f"group {decision.group} was opened before")
        known = self._recount.offers.get(decision.offer)
        if known is None:
            self._recount.fail(Check.OUT_OF_PLACE, f"group {decision.group} opens for unknown offer {decision.offer}")
            known = resolve_offer(OfferTerms(), self._defaults)
        self._recount.groups.put(
            decision.group,
            GroupAccount(
                offer=decision.offer,
                deadline=decision.deadline,
                opened_entry=self._recount.entry,
                max_size=known.max_size,
                fills_at=known.fills_at,
                counts_units=known.counts_units,
            ),
        )

    def _seat(self, entry: Entry, decision: d.SeatHeld | d.SeatConfirmed) -> None:
        self._recount.look(Check.OUT_OF_PLACE)
        account = self._recount.order(decision.order)
        self._give_back(account)
        group = self._open_group(decision.group, f"order {decision.order} takes a seat")
        account.group, account.quantity, account.sku = decision.group, decision.quantity, decision.sku or ""
        account.seat = "held" if isinstance(decision, d.SeatHeld) else "confirmed"
        account.holds = decision.payment if isinstance(decision, d.SeatConfirmed) else None
        account.told = False
        self._change_stock(decision.offer, account, -account.quantity)
        if group is None:
            return
        self._touched[decision.group] = None
        self._add_weight(group, account, 1)
        taken = group.held + group.confirmed
        if taken > group.max_size:
            self._recount.fail(
                Check.OVERFILLED_GROUPS,
                f"group {decision.group} has {taken} seats taken, its offer allows {group.max_size}",
            )
        if entry.at >= group.deadline:
            self._recount.fail(
                Check.STUCK_GROUPS, f"group {decision.group} takes a seat although its deadline has passed"
            )

    def _give_back(self, account: OrderAccount) -> None:
        """Take back the seat that is being restated; one in a group that is over belongs to an order long past."""
        group = self._recount.groups.get(account.group) if account.group is not None else None
        if account.seat in ("held", "confirmed") and group is not None and group.status == "open":
            self._change_stock(group.offer, account, account.quantity)
            self._add_weight(group, account, -1)

    def _released(self, decision: d.SeatReleased) -> None:
        self._recount.look(Check.OUT_OF_PLACE)
        account = self._recount.order(decision.order)
        group = self._recount.groups.get(account.group) if account.group is not None else None
        if account.seat not in ("held", "confirmed") or group is None:
            self._recount.fail(Check.OUT_OF_PLACE, f"order {decision.order} leaves, but has no seat")
            return
        self._change_stock(group.offer, account, account.quantity)
        if group.status == "open":
            self._add_weight(group, account, -1)
        account.seat = "left"
        held = account.payment(account.holds)
        if held is not None:
            held.kept_minor = 0

    def _closing(self, decision: d.Closing) -> None:
        kind = str(decision.__struct_config__.tag).removeprefix("group.")
        group = self._recount.groups.get(decision.group)
        if group is None:
            self._recount.fail(Check.OUT_OF_PLACE, f"group {decision.group} is {kind}, but was never opened")
            return
        if decision.page == 1:
            self._first_page(decision, group, kind)
        elif group.status != kind or decision.page != group.pages_told + 1:
            self._recount.fail(
                Check.OUT_OF_PLACE, f"page {decision.page} of the closing of group {decision.group} is out of turn"
            )
        group.pages, group.pages_told = decision.pages, decision.page
        for seat in decision.seats:
            self._told(decision, group, seat, kind)

    def _first_page(self, decision: d.Closing, group: GroupAccount, kind: str) -> None:
        if group.status != "open":
            self._recount.fail(Check.ENDED_TWICE, f"group {decision.group} is {kind}, but was {group.status} before")
        if isinstance(decision, d.GroupFilled):
            self._recount.totals.groups_filled += 1
            if group.held:
                held = counted(group.held, "seat")
                self._recount.fail(Check.OUT_OF_PLACE, f"group {decision.group} is filled with {held} only held")
            if decision.size > group.max_size or decision.size != group.confirmed:
                self._recount.fail(
                    Check.OVERFILLED_GROUPS,
                    f"group {decision.group} is filled with {decision.size}; confirmed were {group.confirmed}, "
                    f"its offer allows {group.max_size}",
                )
        elif isinstance(decision, d.GroupExpired):
            self._recount.totals.groups_expired += 1
        else:
            self._recount.totals.groups_dissolved += 1
        if group.deadline <= self._answered_at_ns and group.status == "open":
            self._recount.fail(
                Check.STUCK_GROUPS, f"group {decision.group} is {kind} only now, later than its deadline"
            )
        group.status = kind

    def _told(self, decision: d.Closing, group: GroupAccount, seat: d.SeatRef, kind: str) -> None:
        account = self._recount.order(seat.order)
        seated = self._recount.groups.get(account.group) if account.group is not None else None
        belongs = account.group == decision.group or (seated is not None and seated.into == decision.group)
        if account.seat not in ("held", "confirmed") or not belongs or account.told:
            self._recount.fail(
                Check.OUT_OF_PLACE, f"order {seat.order} is told of group {decision.group}, but has no seat in it"
            )
            return
        account.group, account.told = decision.group, True
        held = account.payment(account.holds)
        if kind != "filled" or seat.won is False:
            self._change_stock(group.offer, account, account.quantity)
            account.seat = "ended"
        elif held is not None:
            held.kept_minor = seat.price_minor

    def _merged(self, decision: d.GroupMerged) -> None:
        self._recount.totals.groups_merged += 1
        donor = self._open_group(decision.group, "it merges")
        group = self._open_group(decision.into, f"group {decision.group} merges into it")
        if donor is None or group is None:
            return
        donor.status, donor.into = "merged", decision.into
        group.held += donor.held
        group.confirmed += donor.confirmed
        self._touched[decision.into] = None

    # Accounts

    def _open_group(self, name: str, what: str) -> GroupAccount | None:
        group = self._recount.groups.get(name)
        if group is None or group.status != "open":
            known = "was never opened" if group is None else f"is {group.status}"
            self._recount.fail(Check.OUT_OF_PLACE, f"group {name} {known}, but {what}")
            return None
        return group

    def _add_weight(self, group: GroupAccount, account: OrderAccount, sign: int) -> None:
        weight = sign * (account.quantity if group.counts_units else 1)
        if account.seat == "held":
            group.held += weight
        else:
            group.confirmed += weight

    def _change_stock(self, name: str, account: OrderAccount, by: int) -> None:
        known = self._recount.offers.get(name)
        if known is None or known.stock is None:
            return
        self._recount.look(Check.STOCK)
        left = known.stock.get(account.sku, 0) + by
        known.stock[account.sku] = left
        if left < 0:
            variant = f" of {account.sku}" if account.sku else ""
            self._recount.fail(Check.STOCK, f"offer {name} has {left}{variant} in stock")

    def _check_full(self, name: str) -> None:
        group = self._recount.groups.get(name)
        if group is not None and group.status == "open" and group.confirmed >= group.fills_at:
            self._recount.fail(Check.STUCK_GROUPS, f"group {name} has {group.confirmed} confirmed and is not filled")


def _terms(data: OfferTerms) -> OfferTerms:
    """Return only the terms of an offer's event."""
    return OfferTerms(**{name: getattr(data, name) for name in OfferTerms.__struct_fields__})
