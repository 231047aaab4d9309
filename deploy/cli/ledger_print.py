"""How the ledger's answers look on a terminal: states of groups, orders, members, and whatever else is named."""

import sys

import msgspec

from events.counted import counted
from events.money import amount
from events.times import format_time_ns
from services.ledger.refunds import RefundState
from services.ledger.replay import GroupState, SeatState
from services.ledger.replay_states import Fact, MemberState, NamedState, OrderState
from services.ledger.words import decision_in_words


def print_line(line: str) -> None:
    """Print one line of facts."""
    sys.stdout.write(f"{line}\n")


def print_json(document: msgspec.Struct) -> None:
    """Print a document on one line."""
    sys.stdout.write(f"{msgspec.json.encode(document).decode()}\n")


def print_group(state: GroupState) -> None:
    """Print a group's state."""
    print_line(
        f"group {state.group} of offer {state.offer}, edition {state.edition}, as of entry {state.as_of} "
        f"({format_time_ns(state.as_of_ns)})"
    )
    why = f" ({state.cause})" if state.cause else ""
    into = f" into {state.merged_into}" if state.merged_into else ""
    print_line(
        f"  {state.status}{into}{why}; opened {format_time_ns(state.opened_at_ns)}, "
        f"deadline {format_time_ns(state.deadline_ns)}, order {state.leader} leads"
    )
    print_line(f"  {counted(state.seats_confirmed, 'seat')} confirmed, {state.seats_held} held")
    for seat in state.seats:
        print_line(f"    {_seat_line(seat)}")
    for seat in state.left:
        print_line(f"    {_seat_line(seat)}: {seat.left_because}")
    money, currency = state.money, state.money.currency or ""
    print_line(
        f"  money: {amount(money.taken_minor, currency)} taken, {amount(money.refunds_due_minor, currency)} due back, "
        f"{amount(money.refunds_settled_minor, currency)} of that settled"
    )


def print_order(state: OrderState) -> None:
    """Print an order's state."""
    print_line(f"order {state.order}, as of entry {state.as_of} ({format_time_ns(state.as_of_ns)})")
    for line in _order_lines(state):
        print_line(f"  {line}")


def print_member(state: MemberState) -> None:
    """Print a member's state."""
    print_line(f"member {state.member}, as of entry {state.as_of} ({format_time_ns(state.as_of_ns)})")
    for order in state.orders:
        print_line(f"  order {order.order}")
        for line in _order_lines(order):
            print_line(f"    {line}")
    if state.blocks:
        print_line(f"  keeps apart from: {', '.join(state.blocks)}")
    for fact in state.facts:
        print_line(f"  {_fact_line(fact)}")


def print_named(state: NamedState) -> None:
    """Print the state of anything that decisions name."""
    print_line(
        f"{state.kind} {state.name}, as of entry {state.as_of} ({format_time_ns(state.as_of_ns)}): "
        f"{counted(state.entries, 'entry', 'entries')} since {state.first_entry}"
    )
    for name, value in state.fields.items():
        print_line(f"  {name}: {bytes(value).decode()}")
    for fact in state.facts:
        print_line(f"  {_fact_line(fact)}")


def _order_lines(state: OrderState) -> list[str]:
    lines: list[str] = []
    if state.group is not None:
        leads = ", leads it" if state.leads else ""
        moved = f" (before: {', '.join(state.groups[:-1])})" if len(state.groups) > 1 else ""
        until = f" until {format_time_ns(state.hold_until_ns)}" if state.hold_until_ns is not None else ""
        why = f" ({state.left_because})" if state.left_because else ""
        lines.append(f"{state.status}{until}{why} in group {state.group}{leads}{moved}")
        paid = f", paid with {state.payment}" if state.payment else ""
        currency = state.currency or ""
        price = f", costs {amount(state.price_minor, currency)} in the end" if state.price_minor is not None else ""
        what = f"{state.quantity} x {state.sku or state.offer}"
        lines.append(f"{what}: {amount(state.payable_minor, currency)}{paid}{price}")
    lines += [f"refused: {reason}" for reason in state.refused]
    lines += [_refund_line(refund) for refund in state.refunds]
    return lines


def _refund_line(refund: RefundState) -> str:
    owed = amount(refund.amount_minor, refund.currency)
    return f"refund {refund.refund}: {owed}, {refund.cause}, {refund.status} (entry {refund.due_entry})"


def _fact_line(fact: Fact) -> str:
    often = f", {fact.times} times" if fact.times > 1 else ""
    return f"{fact.kind}{often}, last in entry {fact.entry}: {decision_in_words(fact.decision)}"


def _seat_line(seat: SeatState) -> str:
    paid = f", paid with {seat.payment}" if seat.payment else ""
    currency = seat.currency or ""
    price = f", costs {amount(seat.price_minor, currency)} in the end" if seat.price_minor is not None else ""
    payable = amount(seat.payable_minor, currency)
    return f"{seat.status}  order {seat.order} of member {seat.member}: {payable}{paid}{price}"
