"""What goes wrong in every shop that people run: each is a rule here, under the name by which it is known."""

from events.reasons import Reason
from tests.builders import (
    cancelled,
    completed,
    joined,
    offer,
    offer_changed,
    order_changed,
    paid,
    payment,
    posted,
    refund_settled,
    withdrawn,
)
from tests.unit.rules.given import covers, given


@covers(Reason.GROUP_FULL)
def test_two_payers_for_the_last_seat() -> None:
    """Who pays beforehand for a seat that has just gone gets the money back; the seat is sold once."""
    story = given(offer(), posted("o1", payment=payment()))
    group = story.group_of("o1")
    story.when(joined("o2", group=group, payment=payment())).then("seat.confirmed", "group.filled")
    story.when(joined("o3", group=group, payment=payment())).then("refused", "refund.due")
    assert story.one("refund.due")["cause"] == "order_refused"

    held = given(offer(size=2), posted("o1", payment=payment()))
    group = held.group_of("o1")
    held.when(joined("o2", group=group)).then("seat.held")
    held.when(joined("o3", group=group, payment=payment())).then_refused(Reason.GROUP_FULL, "refund.due")
    held.when(paid("o2")).then("seat.confirmed", "group.filled")
    assert [seat["order"] for seat in held.one("group.filled")["seats"]] == ["o1", "o2"]


def test_deadline_against_fill() -> None:
    """One ns before the deadline the last payment fills the group; at the deadline the group has expired."""
    story = given(offer(group_ttl_s=60, hold_s=900), posted("o1", payment=payment()), joined("o2"))
    in_time = given(offer(group_ttl_s=60, hold_s=900), posted("o1", payment=payment()), joined("o2"))
    in_time.when(paid("o2"), at=60, at_ns=-1).then("seat.confirmed", "group.filled")

    story.when(paid("o2"), at=60)
    story.then("seat.released", "group.expired", "refund.due", "refund.due")
    assert [refund["cause"] for refund in story.every("refund.due")] == ["expired", "late_payment"]
    assert [refund["order"] for refund in story.every("refund.due")] == ["o1", "o2"]


@covers(Reason.LATE_PAYMENT)
def test_late_payment() -> None:
    """A payment after the hold is refunded, or seats the order again where the offer says so."""
    refunding = given(offer(hold_s=10, size=3), posted("o1"), joined("o2"))
    refunding.when(paid("o2"), at=10).then("seat.released", "seat.released", "group.dissolved", "refund.due")

    story = given(offer(hold_s=10, size=3), posted("o1", payment=payment()), joined("o2"))
    story.when(paid("o2"), at=10).then("seat.released", "refund.due")
    assert story.one("refund.due")["cause"] == "late_payment"

    rejoining = given(offer(hold_s=10, size=3, late_payment="rejoin"), posted("o1", payment=payment()), joined("o2"))
    group = rejoining.group_of("o2")
    rejoining.when(paid("o2"), at=10).then("seat.released", "seat.confirmed")
    assert rejoining.group_of("o2") == group


def test_payment_for_an_unknown_order() -> None:
    """Money for an order that nobody placed goes back, once."""
    story = given(offer()).when(paid("o9", payment="p9"))
    story.then_nothing_but("refund.due", cause="unknown_order", order="o9", payment="p9", amount_minor=8_000)
    story.when(paid("o9", payment="p9")).then_refused(Reason.PAYMENT_KNOWN)
    # The order may come after its payment: that money is on its way back and buys nothing.
    story.when(posted("o9", payment=payment(payment="p9"))).then_refused(Reason.PAYMENT_KNOWN)
    assert len(story.due_refunds()) == 1


def test_hold_that_frees_a_seat_twice() -> None:
    """A hold that ends after its seat was left frees nothing more, neither seat nor stock."""
    story = given(offer(hold_s=10, size=3, stock=3), posted("o1", payment=payment()), joined("o2"))
    story.when(withdrawn("o2"), at=5).then("seat.released")
    story.when(joined("o3")).then("seat.held")
    story.when(joined("o4"), at=10).then("seat.held")
    story.when(joined("o5")).then_refused(Reason.OUT_OF_STOCK)
    story.when(paid("o4"), at=15).then("seat.released", "seat.confirmed")
    assert story.one("seat.released")["order"] == "o3"


def test_leader_leaves() -> None:
    """The earliest of the others leads, at no other price; or the group is dissolved; or it is forbidden."""
    started = posted("o1"), joined("o2"), joined("o3")
    story = given(offer(size=4), *started).when(withdrawn("o1"))
    story.then_nothing_but("seat.released", promoted="o2", cause="withdrawn")

    story = given(offer(size=4, leader_leaves="dissolve"), posted("o1"), joined("o2", payment=payment()))
    story.when(withdrawn("o1")).then("seat.released", "group.dissolved", "refund.due")
    assert story.one("group.dissolved")["cause"] == "leader_left"
    assert story.one("refund.due")["order"] == "o2"

    story = given(offer(size=4, leader_leaves="forbid"), posted("o1"), joined("o2"))
    story.when(withdrawn("o1")).then_refused(Reason.LEADER_MAY_NOT_LEAVE)


def test_duplicate_with_a_new_id() -> None:
    """The same order sent again under another event id takes no second seat; a different one is refused."""
    story = given(offer(), posted("o1", "m1"))
    story.when(posted("o1", "m1"))
    story.then_nothing_but("duplicate", original="seat.held", of="3.0.0", group=story.group_of("o1"))
    story.when(posted("o1", "m2")).then_refused(Reason.ORDER_EXISTS)


def test_leave_before_join() -> None:
    """Leaving an order that is not known yet is refused, and the order that comes later is taken as it is."""
    story = given(offer()).when(withdrawn("o1")).then_refused(Reason.ORDER_UNKNOWN)
    story.when(posted("o1")).then("group.opened", "seat.held")


def test_timer_after_restart() -> None:
    """Deadlines and holds end at their time although the engine was rebuilt, whichever way, in between."""
    for from_snapshot in (False, True):
        story = given(offer(hold_s=10, group_ttl_s=60, size=3), posted("o1", payment=payment()), joined("o2"))
        story.restart(from_snapshot=from_snapshot)
        assert story.engine.next_due_ns() == story.now_ns + 10 * 10**9
        story.when(joined("o3"), at=10).then("seat.released", "seat.held")
        story.restart(from_snapshot=from_snapshot)
        story.when(paid("o9"), at=60)
        story.then("seat.released", "group.expired", "refund.due", "refund.due")


def test_rules_edited_while_a_group_is_open() -> None:
    """A group keeps the rules it opened under; groups opened later have the new ones."""
    story = given(offer(size=2, group_minor=8_000), posted("o1", payment=payment()))
    story.when(offer_changed(size=3, max_size=3, group_minor=7_000))
    old_group = story.group_of("o1")
    story.when(joined("o2", group=old_group))
    assert story.one("seat.held")["payable_minor"] == 8_000
    story.when(paid("o2")).then("seat.confirmed", "group.filled")
    story.when(posted("o3"))
    assert story.one("group.opened")["edition"] == 2
    assert story.one("seat.held")["payable_minor"] == 7_000


def test_a_thousand_groups_due_in_one_instant() -> None:
    """They close in their order, in bounded pieces, each exactly once, before the next input is decided."""
    story = given(offer(group_ttl_s=60, hold_s=0), compared=False)
    orders = [f"o{n}" for n in range(1_000)]
    for start in range(0, 1_000, 100):
        story.when([posted(order) for order in orders[start : start + 100]])
    story.when(completed("g0-0"), at=60)
    assert all(len(entry["decisions"]) <= 32 for entry in story.entries)
    closed = [decision["seats"][0]["order"] for decision in story.every("group.expired")]
    assert closed == orders
    assert story.kinds[-1] == "refused"
    assert [entry["part"] for entry in story.entries] == list(range(len(story.entries)))


def test_virtual_members_that_get_orders() -> None:
    """A group that customer service completes has the seats that were confirmed, and nobody is added."""
    story = given(offer(size=3), posted("o1", payment=payment()), joined("o2"))
    story.when(completed(story.group_of("o1"))).then("seat.released", "group.filled")
    filled = story.one("group.filled")
    assert filled["cause"] == "completed"
    assert (filled["actor"], filled["reason"], filled["ticket"]) == ("amy", "complaint", "t-1")
    assert filled["size"] == 1
    assert [seat["order"] for seat in filled["seats"]] == ["o1"]


def test_refund_of_a_member_of_a_finished_group_that_reopens_it() -> None:
    """Who cancels after the fill is refunded; the group stays filled and takes nobody in that place."""
    story = given(offer(), posted("o1", payment=payment()), joined("o2", payment=payment()))
    group = story.group_of("o1")
    story.when(cancelled("o2")).then("seat.released", "refund.due")
    refund = story.one("refund.due")
    assert (refund["cause"], refund["amount_minor"]) == ("cancelled", 8_000)
    story.when(refund_settled(refund["refund"])).then("refund.closed")
    story.when(joined("o3", group=group)).then_refused(Reason.GROUP_OVER)
    story.when(joined("o4")).then_refused(Reason.NO_OPEN_GROUP)
    story.when(order_changed("o1", quantity=2)).then_refused(Reason.ORDER_OVER)
