"""Orders for benchmarks: every rule that can apply does, and every order pays."""

import hashlib
import json
import random
import time
from typing import Any, Final

from events import fair

OFFERS: Final = 50
GROUP_SIZE: Final = 5
PRICE_MINOR: Final = 1_990
PUBLISHER: Final = "local"


def now_text() -> str:
    """Return the present moment as an event's time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def event(kind: str, event_id: str, data: dict[str, Any], at: str | None = None) -> bytes:
    """Return the bytes of an event, compact, in the order in which most producers write it."""
    document = {
        "specversion": "1.0",
        "type": f"groupbuy.{kind}.v1",
        "id": event_id,
        "source": "/bench",
        "time": at or now_text(),
        "data": data,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def configuration(at: str | None = None, *, plays_under_key: bytes | None = None) -> bytes:
    """Return the market's configuration; with plays where its key is given, to which draws are committed."""
    families = ["offer", "order", "refund", "group"]
    if plays_under_key is None:
        return event("market.configured", "market-1", {"publishers": {PUBLISHER: families}}, at)
    settings = {
        "publishers": {PUBLISHER: [*families, "play", "assist"]},
        "secret_commitment": fair.secret_commitment(fair.secret_of(plays_under_key)),
        "assist_caps": {"per_helper_day": 1_000, "per_pair_week": 1_000},
    }
    return event("market.configured", "market-1", settings, at)


def offers(*, size: int = GROUP_SIZE, count: int = OFFERS, at: str | None = None) -> list[bytes]:
    """Return offers with holds, stock, limits and merging."""
    terms = {
        "size": size,
        "currency": "CNY",
        "group_minor": PRICE_MINOR,
        "solo_minor": 2_990,
        "merge": "allowed",
        "limit_at_once": 1_000,
        "limit_total": 10_000,
        "stock": 10**9,
    }
    return [event("offer.published", f"offer-{i}", {"offer": f"tea-{i}", **terms}, at) for i in range(count)]


def orders(
    count: int,
    *,
    lead: str = "if_needed",
    seed: int = 1,
    prefix: str = "o",
    at: str | None = None,
    offers: int = OFFERS,
    pays: bool = True,
    members: int = 10**6,
) -> list[bytes]:
    """Return orders of so many members that take a seat where there is one, else open a group; paid beforehand."""
    chance, at = random.Random(seed), at or now_text()
    return [
        event(
            "order.posted",
            f"0193f5e2-7c1a-7cc0-{prefix}-{i:012d}",
            {
                "order": f"{prefix}-{i:09d}",
                "member": f"m-{chance.randrange(members):07d}",
                "offer": f"tea-{chance.randrange(offers)}",
                "lead": lead,
                **({"payment": payment(prefix, i)} if pays else {}),
            },
            at,
        )
        for i in range(count)
    ]


def payment(prefix: str, place: int) -> dict[str, Any]:
    """Return what pays for the order `place` of a run of orders."""
    return {"payment": f"p-{prefix}-{place:09d}", "amount_minor": PRICE_MINOR, "currency": "CNY"}


def plays(count: int) -> list[bytes]:
    """Return bargains that as many members open."""
    terms = {"currency": "CNY", "start_minor": 200_000, "floor_minor": 100_000}
    at = now_text()
    return [
        event(
            "play.opened",
            f"play-{i}",
            {"play": f"cut-{i}", "form": "bargain", "member": f"w-{i:07d}", "helper_limit": 1_000, "terms": terms},
            at,
        )
        for i in range(count)
    ]


def assists(count: int, plays: int, *, seed: int = 1) -> list[bytes]:
    """Return assists of a million members to as many plays, with every signal, shared to them by whose play it is."""
    chance, at = random.Random(seed), now_text()
    networks = [_hashed(f"network-{i}") for i in range(20_000)]
    found = []
    for i in range(count):
        play, helper = chance.randrange(plays), chance.randrange(10**6)
        signals = {
            "device": _hashed(f"device-{helper}"),
            "network": networks[chance.randrange(len(networks))],
            "account_age_days": chance.randrange(1_000),
            "channel": "app",
        }
        data = {
            "play": f"cut-{play}",
            "assist": f"a-{i:09d}",
            "member": f"m-{helper:07d}",
            "via": f"w-{play:07d}",
            "signals": signals,
        }
        found.append(event("assist.given", f"0193f5e2-7c1a-7cc0-a-{i:012d}", data, at))
    return found


def _hashed(what: str) -> str:
    return hashlib.sha256(what.encode()).hexdigest()


def batches(events: list[bytes], size: int) -> list[bytes]:
    """Return the events as intake messages of `size` events each."""
    if size == 1:
        return events
    return [b"[" + b",".join(events[i : i + size]) + b"]" for i in range(0, len(events), size)]


_PLAIN: Final = (
    '{"specversion":"1.0","type":"groupbuy.order.posted.v1","id":"0193f5e2-7c1a-7cc0-%s-%012d","source":"/bench",'
    '"time":"%s","data":{"order":"%s-%09d","member":"m-%07d","offer":"tea-%d","lead":"if_needed",'
    '"payment":{"payment":"p-%s-%09d","amount_minor":%d,"currency":"CNY"}}}'
)


def plain_batch(first: int, count: int, *, prefix: str) -> bytes:
    """Return orders as `orders` makes them, from number `first` on, as one batch; cheap enough for a steady load."""
    at = now_text()
    events = (
        _PLAIN % (prefix, i, at, prefix, i, i * _STEP % 10**6, i * _STEP % OFFERS, prefix, i, PRICE_MINOR)
        for i in range(first, first + count)
    )
    return f"[{','.join(events)}]".encode()


_STEP: Final = 7_919
"""A prime: members and offers come in no order."""
