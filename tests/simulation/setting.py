"""What a seed decides about the market itself: its clock, its caps and terms, and what its publishers are busy with."""

import random
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from tests import builders as make

Event = dict[str, Any]
SHOPS: Final = ("shop-a", "shop-b")
OPERATOR: Final = "operator"
TASTES: Final = ("orders", "orders", "plays", "members", "disputes", "mixed")
"""What most of a seed's events are about; the others are there too."""
_FAMILIES: Final = [*make.PLAY_FAMILIES, "dispute"]
_INVITATIONS: Final = {
    "inviter_per_day": (20, 3),
    "invitee_per_day": (3, 2),
    "pool_per_day": (1_000, 4),
    "pause_s": (0, 0, 20, 86_400),
    "useful_s": (60, 600),
    "warn_after": (0, 5, 2),
    "limit_after": (0, 0, 10, 3),
    "refusals_window_s": (60, 3_600),
    "limit_s": (20, 600),
}
_UNSUSPECTING: Final = {"hold_points": 1_000_000, "refuse_points": 1_000_000}
_STRICT: Final = {
    "hold_points": 20,
    "refuse_points": 80,
    "warn_at": 2,
    "limit_at": 4,
    "ban_at": 7,
    "warn_s": 20,
    "limit_s": 30,
    "ban_s": 40,
    "memory_s": 600,
}


class Setting(NamedTuple):
    """The market of one seed, as plain values."""

    clock: str
    timezone: str
    taste: str
    is_forgetful: bool
    """Identities and what has ended are forgotten as early as may be; then ids of orders are never used again."""
    invitations: dict[str, int]
    assist_caps: dict[str, int]
    standing: dict[str, int]
    disputes: dict[str, Any]
    participation: dict[str, Any] | None

    @property
    def zone(self) -> ZoneInfo:
        """The market's time zone."""
        return ZoneInfo(self.timezone)

    def market(self, **fields: Any) -> Event:
        """Return the event that configures it."""
        short = {"replay_window_s": 60, "future_slack_s": 30, "order_memory_s": 0} if self.is_forgetful else {}
        return make.play_market(
            publishers=dict.fromkeys(SHOPS, _FAMILIES),
            clock=self.clock,
            timezone=self.timezone,
            invitations=self.invitations,
            assist_caps=self.assist_caps,
            standing=self.standing,
            disputes=self.disputes,
            **{"participation": self.participation, **short, **fields},
        )


def setting_of(seed: int) -> Setting:
    """Return the setting of a seed."""
    chance = random.Random(f"{seed} setting")
    return Setting(
        clock=chance.choice(("broker",) * 11 + ("event",)),
        timezone=chance.choice(("UTC", "Asia/Shanghai", "America/New_York")),
        taste=chance.choice(TASTES),
        is_forgetful=chance.random() < 0.1,
        invitations={name: chance.choice(values) for name, values in _INVITATIONS.items()},
        assist_caps=chance.choice(({}, {"per_helper_day": 2}, {"per_helper_day": 5, "per_pair_week": 2})),
        standing=chance.choice((_UNSUSPECTING, _STRICT, {})),
        disputes={
            "claim_s": chance.choice((30, 3_600)),
            "answer_s": chance.choice((0, 10, 30)),
            "resolve_s": chance.choice((20, 60)),
            "appeal_s": chance.choice((5, 30, 300)),
            "second_approver": chance.choice(([], ["void", "reinstate", "bulk"])),
        },
        participation=chance.choice((None, {"groups": 2, "assists": 2})),
    )
