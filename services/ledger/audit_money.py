"""The recount of money: every payment must in the end be honoured, open, or refunded in full, and only once."""

from typing import Final

from events import decisions as d
from events import order
from events.market import MarketConfigured, MarketConfiguredEvent
from events.reasons import Reason
from events.record import Entry
from events.registry import AnyEvent
from events.times import NS_PER_S, parse_time_ns
from services.ledger.audit_accounts import Check, OrderAccount, PaymentAccount, Recount, RefundAccount

_Paying = order.OrderPostedEvent | order.OrderJoinedEvent | order.OrderPaidEvent
# Such an event has no right to speak of money, or is only a report that may be repeated.
_NO_RIGHT: Final = (
    Reason.WRONG_FAMILY,
    Reason.PUBLISHER_NOT_ALLOWED,
    Reason.MARKET_NOT_CONFIGURED,
    Reason.PERSONAL_DATA,
)
_BEFORE_THE_RULES: Final = (Reason.ID_REUSED, Reason.TOO_OLD, Reason.FROM_THE_FUTURE, Reason.CAPACITY)


class MoneyRecount:
    """Follows payments and refunds through the entries; seats must have been followed up to the entry before."""

    def __init__(self, recount: Recount) -> None:
        self._recount = recount
        self._market: MarketConfigured | None = None
        self._memory_ns: int | None = None
        """The shortest time for which a settled refund was ever remembered."""

    def entry(self, entry: Entry, event: AnyEvent | None) -> None:
        """Add an entry."""
        if isinstance(event, MarketConfiguredEvent) and entry.decisions and isinstance(entry.decisions[0], d.MarketSet):
            self._configured(event.data)
        if isinstance(event, _Paying) and entry.decisions:
            self._paying_event(event, entry.decisions[0], entry.at)
        for decision in entry.decisions:
            if isinstance(decision, d.RefundDue):
                self._refund_due(decision, entry.at)
            elif isinstance(decision, d.RefundClosed):
                self._refund_closed(decision, entry.at)

    def _configured(self, market: MarketConfigured) -> None:
        self._market, memory_ns = market, _order_memory_ns(market)
        self._memory_ns = memory_ns if self._memory_ns is None else min(memory_ns, self._memory_ns)

    def _paying_event(
        self,
        event: _Paying,
        first: d.AnyDecision,
        at_ns: int,
    ) -> None:
        data = event.data
        paid: order.Payment | order.OrderPaid | None = data if isinstance(data, order.OrderPaid) else data.payment
        if paid is None:
            return
        reason = first.reason if isinstance(first, d.Refused) else None
        refused_report = isinstance(data, order.OrderPaid) and reason in _BEFORE_THE_RULES
        if reason in _NO_RIGHT or refused_report:
            return
        if reason is Reason.TOO_OLD and self._is_beyond_memory(event, at_ns):
            return
        account = self._recount.order(data.order)
        if account.payment(paid.payment) is not None:
            return
        self._recount.look(Check.PAYMENTS)
        if isinstance(first, d.Duplicate) or reason is Reason.PAYMENT_KNOWN:
            self._recount.fail(
                Check.PAYMENTS, f"payment {paid.payment} of order {data.order} counts as known, but is not"
            )
            return
        self._recount.totals.payments += 1
        account.payments.append(PaymentAccount(paid.payment, paid.amount_minor, paid.currency, self._recount.entry))

    def _is_beyond_memory(self, event: _Paying, at_ns: int) -> bool:
        """Tell whether an event is so old that nobody may know what its money bought (RULES.md section 4)."""
        market = self._market
        assert market is not None, "only a configured market judges times"
        return parse_time_ns(event.time) - market.future_slack_s * NS_PER_S < at_ns - _order_memory_ns(market)

    def _refund_due(self, decision: d.RefundDue, at_ns: int) -> None:
        known = self._recount.refunds.get(decision.refund)
        if known is not None and self._may_be_forgotten(known, at_ns):
            # The rules promise one name for one debt, and no memory without end: who pays back once for each name
            # pays nothing twice.
            self._recount.totals.refunds_told_again += 1
            return
        self._recount.totals.refunds += 1
        self._recount.look(Check.DOUBLE_REFUNDS)
        self._recount.look(Check.REFUND_AMOUNTS)
        if known is not None:
            self._recount.fail(Check.DOUBLE_REFUNDS, f"refund {decision.refund} was due before, in entry {known.entry}")
        self._recount.refunds.put(
            decision.refund,
            RefundAccount(decision.order, decision.payment, decision.amount_minor, self._recount.entry),
        )
        paid = self._recount.order(decision.order).payment(decision.payment)
        if paid is None:
            self._recount.fail(
                Check.REFUND_AMOUNTS, f"refund {decision.refund} is of payment {decision.payment}, which nobody made"
            )
            return
        paid.refunded_minor += decision.amount_minor
        if decision.cause == "dispute":
            # A resolution gives back of what a filled group keeps, and of nothing else.
            paid.kept_minor -= decision.amount_minor
            if paid.kept_minor < 0:
                self._recount.fail(
                    Check.REFUND_AMOUNTS,
                    f"refund {decision.refund} gives {-paid.kept_minor} more back than payment {paid.payment} keeps",
                )
        if paid.refunded_minor > paid.amount_minor or decision.currency != paid.currency:
            self._recount.fail(
                Check.REFUND_AMOUNTS,
                f"of payment {paid.payment}, {paid.amount_minor} {paid.currency}, are due back "
                f"{paid.refunded_minor} {decision.currency}",
            )

    def _may_be_forgotten(self, known: RefundAccount, at_ns: int) -> bool:
        return known.settled and self._memory_ns is not None and at_ns - known.settled_at_ns > self._memory_ns

    def _refund_closed(self, decision: d.RefundClosed, at_ns: int) -> None:
        known = self._recount.refunds.get(decision.refund)
        if known is None:
            self._recount.fail(Check.OUT_OF_PLACE, f"refund {decision.refund} is answered, but was never due")
            return
        if known.settled and decision.status == "settled" and not self._may_be_forgotten(known, at_ns):
            self._recount.fail(Check.DOUBLE_REFUNDS, f"refund {decision.refund} is settled a second time")
        if decision.amount_minor > known.amount_minor:
            self._recount.fail(
                Check.REFUND_AMOUNTS,
                f"refund {decision.refund} is closed with {decision.amount_minor}, due were {known.amount_minor}",
            )
        if decision.status == "settled" and not known.settled:
            known.settled, known.settled_at_ns = True, at_ns
            self._recount.totals.refunds_settled += 1

    # The end: what became of each payment

    def check_payments(self) -> None:
        """Check every payment of every order, and count what became of it."""
        for name, account in self._recount.orders.items():
            for paid in account.payments:
                self._check_payment(name, account, paid)

    def _check_payment(self, name: str, account: OrderAccount, paid: PaymentAccount) -> None:
        is_open = account.holds == paid.payment and account.seat == "confirmed" and self._may_still_end(account)
        expected_minor = 0 if is_open else paid.amount_minor - paid.kept_minor
        totals = self._recount.totals
        if paid.refunded_minor != expected_minor:
            self._recount.checks[Check.PAYMENTS].fail(
                paid.entry,
                f"payment {paid.payment} of order {name}: of {paid.amount_minor} {paid.currency} a filled group keeps "
                f"{paid.kept_minor}, due back is {paid.refunded_minor}"
                + (", though its group is still open" if is_open else ""),
            )
        elif is_open:
            totals.payments_open += 1
        elif paid.kept_minor:
            totals.payments_honoured += 1
        else:
            totals.payments_refunded += 1

    def _may_still_end(self, account: OrderAccount) -> bool:
        """Tell whether the seat's group is open, or has pages of its closing still to come, this seat's among them."""
        group = self._recount.groups.get(account.group) if account.group is not None else None
        if group is not None and group.into is not None:
            group = self._recount.groups.get(group.into)
        if group is None:
            return False
        return group.status == "open" or (not account.told and group.pages_told < group.pages)


def _order_memory_ns(market: MarketConfigured) -> int:
    """Return how long after its end an order is remembered, in ns."""
    return max(market.order_memory_s, market.replay_window_s + market.future_slack_s) * NS_PER_S
