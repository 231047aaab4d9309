"""Decisions of the family `market` beside its configuration."""

from events.decision import Decision


class MarketRestored(Decision, tag="market.restored", kw_only=True):
    """From here on the market is decided from the intake stream `intake`; `previous` ended at message `through`."""

    previous: str
    intake: str
    through: int
    lost_events: int = 0
    actor: str
    reason: str
    ticket: str
