"""The queue of ended orders: each comes out once, in its order, whatever a snapshot falls between."""

import msgspec

from services.matcher.domain.fifo import Ends


def test_orders_come_out_one_by_one_in_the_order_of_their_ends_across_snapshots() -> None:
    ends = Ends()
    for note in [(1, "alone"), (2, ("first", "second", "third")), (2, ("fourth", "fifth")), (3, "last")]:
        ends.push(note)
    taken = []
    while (first := ends.peek()) is not None:
        ends = msgspec.msgpack.decode(msgspec.msgpack.encode(ends), type=Ends)
        taken.append((first[0], ends.take()))
    assert taken == [
        (1, "alone"),
        *((2, order) for order in ("first", "second", "third", "fourth", "fifth")),
        (3, "last"),
    ]
    assert ends.taken == 0
