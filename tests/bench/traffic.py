"""Orders for benchmarks: every rule that can apply does, and every order pays."""

import hashlib
import json
import random
import time
from typing import Any, Final

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


def configuration(at: str | None = None) -> bytes:
    """Return the market's configuration."""
    families = {PUBLISHER: ["offer", "order", "refund", "group"]}
    return event("market.configured", "market-1", {"publishers": families}, at)


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
