"""What templates of each kind may name, with samples against which every template is tried before it is used."""

from typing import Any, Final

from services.notifier.policy.purposes import Kind

_SEATS: Final[dict[str, Any]] = {
    "group": "g3-0",
    "offer": "sample-tea",
    "orders": ["o-1"],
    "quantity": 1,
    "currency": "CNY",
}
SAMPLES: Final[dict[Kind, dict[str, Any]]] = {
    Kind.FILLED: {
        **_SEATS,
        "size": 2,
        "price_minor": 8_000,
        "saved_minor": 2_000,
        "remains_minor": 0,
        "refund_minor": 0,
    },
    Kind.EXPIRED: {**_SEATS, "missing": 1, "refund_minor": 8_000},
    Kind.DISSOLVED: {**_SEATS, "cause": "offer_withdrawn", "refund_minor": 8_000},
    Kind.REFUND_DUE: {"refund": "r-1", "order": "o-1", "refund_minor": 8_000, "currency": "CNY", "cause": "withdrawn"},
    Kind.PRICE_CUT: {
        "play": "p-1",
        "cut_minor": 500,
        "price_minor": 7_500,
        "remains_minor": 2_500,
        "helpers_left": 5,
        "currency": "CNY",
    },
    Kind.DRAW: {
        "play": "p-1",
        "prize": "sample-tea",
        "drawn": True,
        "won": True,
        "group": "g3-0",
        "offer": "sample-tea",
        "orders": ["o-1"],
        "price_minor": 8_000,
        "refund_minor": 8_000,
        "currency": "CNY",
    },
    Kind.DISPUTE: {"dispute": "d-1", "step": "resolved", "order": "o-1", "verdict": "upheld"},
    Kind.STANDING: {"step": "limited", "until": "2026-01-01T00:00:00Z"},
    Kind.INVITED: {
        "inviter": "m-2",
        "offer": "sample-tea",
        "group": "g3-0",
        "play": "p-1",
        "pool": "pool-1",
        "link": "token",
    },
    Kind.LIMIT_REACHED: {"limit": "spending", "set_by": "member", "used": 9_000, "most": 9_000, "currency": "CNY"},
    Kind.DIGEST: {"items": [{"title": "One", "body": "First.\n"}, {"title": "Two", "body": "Second.\n"}], "count": 2},
    Kind.ENDPOINT_DISABLED: {"channel": "webhook:shop-a", "since": "2026-01-01T00:00:00Z", "why": "status 500"},
    Kind.DISPUTE_OVERDUE: {"dispute": "d-1", "stage": "resolution", "about": "m-1"},
}
"""The names that a template of a kind may use, each with a value as it may be."""

MAY_BE_NOTHING: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.FILLED: ("saved_minor",),
    Kind.INVITED: ("offer", "group", "play", "pool"),
    Kind.LIMIT_REACHED: ("currency",),
    Kind.DISPUTE: ("order", "verdict"),
    Kind.STANDING: ("until",),
    Kind.DRAW: ("play", "prize", "group", "offer", "orders"),
}
"""Of these names, those that may be None."""


def samples_of(kind: Kind) -> list[dict[str, Any]]:
    """Return fields as they may be: all there, nothing that may be missing, and every number 0."""
    full = SAMPLES[kind]
    sparse = {**full, **dict.fromkeys(MAY_BE_NOTHING.get(kind, ()))}
    zeros = {name: 0 if type(value) is int else value for name, value in full.items()}
    return [full, sparse, zeros]
