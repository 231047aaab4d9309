"""What those who have not won a draw are told by the channels beyond the own subject: routes and rows, pure."""

from collections.abc import Sequence

import msgspec

from services.notifier.dispatch.draws import Loser
from services.notifier.dispatch.routing import HasAddress, Route, waiting_rows
from services.notifier.dispatch.rows import Waiting
from services.notifier.policy.draws import Draw
from services.notifier.policy.reading import lost_notice


class DrawNotices(msgspec.Struct, frozen=True):
    """The channels of a market; what was decided before `since_ns` is told on the own subject alone."""

    routes: tuple[Route, ...]
    useful_for_s: int
    has_address: HasAddress
    since_ns: int

    def channels_of(self, draw: Draw) -> list[str]:
        """Return the channels over which a draw is told."""
        if draw.at_ns < self.since_ns:
            return []
        # Which member it is about makes no difference to a route.
        notice = lost_notice(draw, "", self.useful_for_s)
        return [route.channel for route in self.routes if route.takes(notice)]

    def rows_of(self, draw: Draw, channel: str, losers: Sequence[Loser], now_ns: int) -> list[Waiting]:
        """Return the rows of a page of members on a channel, of whom some may have left no address."""
        notices = [lost_notice(draw, loser.member, self.useful_for_s) for loser in losers]
        routes = [route for route in self.routes if route.channel == channel]
        return list(waiting_rows(notices, routes, self.has_address, now_ns))
