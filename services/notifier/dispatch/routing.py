"""Over which channels a notice goes, and when it is first looked at: pure."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from events.times import NS_PER_S
from services.notifier.dispatch.rows import Waiting
from services.notifier.policy.purposes import Kind, Notice, Purpose, notice_id


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A channel and what may go over it.

    `kinds` of None are all, `publishers` empty are all. `address_kind` names the addresses without which a member is
    not reached this way: who has left none has not chosen the channel. `digest_window_s` is how long results are
    gathered.
    """

    channel: str
    purposes: frozenset[Purpose]
    kinds: frozenset[Kind] | None = None
    publishers: frozenset[str] = frozenset()
    address_kind: str | None = None
    digest_window_s: int = 0

    def takes(self, notice: Notice) -> bool:
        """Tell whether a notice may go this way at all."""
        if notice.via is not None and notice.via != self.channel.partition(":")[0]:
            return False
        if notice.purpose not in self.purposes or (self.kinds is not None and notice.kind not in self.kinds):
            return False
        return not self.publishers or notice.publisher in self.publishers


HasAddress = Callable[[str, str], bool]


def waiting_rows(
    notices: Sequence[Notice], routes: Sequence[Route], has_address: HasAddress, now_ns: int
) -> Iterator[Waiting]:
    """Yield a row of the outbox for each notice and each channel that it goes over."""
    for notice in notices:
        for route in routes:
            if route.takes(notice) and (route.address_kind is None or has_address(notice.member, route.address_kind)):
                yield waiting_row(notice, route, now_ns)


def waiting_row(notice: Notice, route: Route, now_ns: int) -> Waiting:
    """Return the row of a notice on one channel."""
    gathers = route.digest_window_s > 0 and notice.purpose is Purpose.RESULT
    return Waiting(
        id=notice_id(notice, route.channel),
        channel=route.channel,
        due_at_ns=now_ns + (route.digest_window_s * NS_PER_S if gathers else 0),
        notice=notice,
        digest_key="\n".join((route.channel, notice.member, notice.group or "")) if gathers else None,
    )
