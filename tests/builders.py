"""Events for tests, with sensible defaults: JSON-able dicts, ids by counters, every field open to a keyword.

Times are left out unless given: `encode` fills in the moment that the test means, or the present one.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from events import fair
from events.times import NS_PER_S, format_time_ns, parse_time_ns

JsonEvent = dict[str, Any]

S: Final = NS_PER_S
DAY: Final = 86_400 * S
T0: Final = parse_time_ns("2026-01-01T00:00:00Z")
"""When tests begin, in ns."""

SOURCE: Final = "/test"
OFFER: Final = "tea"
SHOP: Final = "shop-a"
MARKET_KEY: Final = b"k" * 32
ORDER_FAMILIES: Final = ["offer", "order", "group", "refund", "member", "invitation"]
PLAY_FAMILIES: Final = [*ORDER_FAMILIES, "play", "assist"]

_ENVELOPE: Final = ("id", "source", "time", "publisher", "specversion", "subject", "dataschema")
_counters: dict[str, Iterator[int]] = {}


def next_id(prefix: str) -> str:
    """Return an id that no test of this process has used: `prefix-1`, `prefix-2`, ..."""
    return f"{prefix}-{next(_counters.setdefault(prefix, itertools.count(1)))}"


def event(kind: str, **fields: Any) -> JsonEvent:
    """Return an event of type `groupbuy.<kind>.v1`; envelope attributes are taken out of `fields`, the rest is data.

    A field that is None is left out.
    """
    envelope: JsonEvent = {name: fields.pop(name) for name in _ENVELOPE if name in fields}
    data = {name: value for name, value in fields.items() if value is not None}
    defaults = {"specversion": "1.0", "type": f"groupbuy.{kind}.v1", "source": SOURCE}
    return {**defaults, "id": next_id("e"), **envelope, "data": data}


def encode(document: JsonEvent, at_ns: int | None = None) -> bytes:
    """Return the bytes of an event; without a `time` it gets `at_ns`, or the present moment."""
    moment = time.time_ns() if at_ns is None else at_ns
    timed = {"time": format_time_ns(moment), **document}
    return json.dumps(timed, ensure_ascii=False, separators=(",", ":")).encode()


def encode_batch(documents: list[JsonEvent], at_ns: int | None = None) -> bytes:
    """Return the bytes of a batch."""
    return b"[" + b",".join(encode(document, at_ns) for document in documents) + b"]"


def family_of(document: JsonEvent) -> str:
    """Return the family that the event's type belongs to."""
    kind: str = document["type"]
    return kind.split(".")[1]


def market(**fields: Any) -> JsonEvent:
    """Configure a market in which shop-a and shop-b may publish everything that shops publish."""
    publishers = {SHOP: ORDER_FAMILIES, "shop-b": ORDER_FAMILIES}
    return event("market.configured", **{"publishers": publishers, **fields})


def market_restored(through: int, previous: str = "intake-1", intake: str = "intake-2", **fields: Any) -> JsonEvent:
    """Put another intake in the place of a lost one that was decided up to message `through`."""
    kept = {"through": through, "record": 1, "record_hash": "ab" * 32}
    return event("market.restored", **{"previous": previous, "intake": intake, **kept, **_by_service(), **fields})


def offer(offer: str = OFFER, **fields: Any) -> JsonEvent:
    """Publish an offer for groups of two at 80.00 CNY."""
    terms = {"currency": "CNY", "group_minor": 8_000, "size": 2}
    return event("offer.published", **{"offer": offer, **terms, **fields})


def offer_changed(offer: str = OFFER, **fields: Any) -> JsonEvent:
    """Change an offer's rules for groups that open later."""
    return event("offer.changed", offer=offer, **fields)


def offer_stocked(delta: int, offer: str = OFFER, **fields: Any) -> JsonEvent:
    """Change an offer's stock."""
    return event("offer.stocked", offer=offer, delta=delta, **fields)


def offer_withdrawn(offer: str = OFFER, **fields: Any) -> JsonEvent:
    """Take an offer down."""
    return event("offer.withdrawn", offer=offer, **fields)


def _order(kind: str, order: str | None, member: str | None, fields: dict[str, Any]) -> JsonEvent:
    named = {"order": order or next_id("o"), "member": member or next_id("m"), "offer": OFFER}
    return event(kind, **{**named, **fields})


def posted(order: str | None = None, member: str | None = None, **fields: Any) -> JsonEvent:
    """Post an order that opens a group."""
    return _order("order.posted", order, member, fields)


def joined(order: str | None = None, member: str | None = None, **fields: Any) -> JsonEvent:
    """Join a group: the one named, or one that the matcher chooses."""
    return _order("order.joined", order, member, fields)


def payment(amount_minor: int = 8_000, **fields: Any) -> JsonEvent:
    """Return the `payment` of an order that was paid beforehand."""
    return {"payment": next_id("p"), "amount_minor": amount_minor, "currency": "CNY", **fields}


def paid(order: str, amount_minor: int = 8_000, **fields: Any) -> JsonEvent:
    """Report a payment."""
    return event("order.paid", **{"order": order, **payment(amount_minor), **fields})


def order_changed(order: str, **fields: Any) -> JsonEvent:
    """Change an order that keeps its seat."""
    return event("order.changed", order=order, **fields)


def withdrawn(order: str, **fields: Any) -> JsonEvent:
    """Leave a group before it is filled."""
    return event("order.withdrawn", order=order, **fields)


def cancelled(order: str, **fields: Any) -> JsonEvent:
    """Cancel an order, before or after the fill."""
    return event("order.cancelled", order=order, **fields)


def _by_service(**fields: Any) -> dict[str, Any]:
    return {"actor": "amy", "reason": "complaint", "ticket": "t-1", **fields}


def released(order: str, **fields: Any) -> JsonEvent:
    """Take an order out of its group, as customer service."""
    return event("order.released", **_by_service(order=order, **fields))


def dissolved(group: str, **fields: Any) -> JsonEvent:
    """Dissolve a group, as customer service."""
    return event("group.dissolved", **_by_service(group=group, **fields))


def completed(group: str, **fields: Any) -> JsonEvent:
    """Complete a group with what it has, as customer service."""
    return event("group.completed", **_by_service(group=group, **fields))


def refund_settled(refund: str, **fields: Any) -> JsonEvent:
    """Report that a refund was paid out."""
    return event("refund.settled", refund=refund, **fields)


def refund_failed(refund: str, **fields: Any) -> JsonEvent:
    """Report that a refund could not be paid out."""
    return event("refund.failed", **{"refund": refund, "reason": "bank", **fields})


def blocked(member: str, other: str, **fields: Any) -> JsonEvent:
    """Keep two members apart."""
    return event("member.blocked", member=member, other=other, **fields)


def pool_blocked(member: str, pool: str, **fields: Any) -> JsonEvent:
    """Keep a member away from a pool."""
    return event("member.blocked", member=member, pool=pool, **fields)


def registered(member: str, **fields: Any) -> JsonEvent:
    """Register a member."""
    return event("member.registered", member=member, **fields)


def consented(member: str, **fields: Any) -> JsonEvent:
    """Agree to invitations by e-mail, or to what `fields` say."""
    agreed = {"purpose": "invitation", "channel": "email", "mechanism": "form", "text_hash": "ab" * 32}
    return event("member.consented", **{"member": member, **agreed, **fields})


def withdrew(member: str, **fields: Any) -> JsonEvent:
    """Take back what a member agreed to."""
    return event("member.withdrew", member=member, **fields)


def preferred(member: str, **fields: Any) -> JsonEvent:
    """State a member's preferences."""
    return event("member.preferred", member=member, **fields)


def limited_self(member: str, **fields: Any) -> JsonEvent:
    """Set a member's own limits."""
    return event("member.limited_self", member=member, **fields)


def invited(inviter: str, invitee: str, **fields: Any) -> JsonEvent:
    """Ask that a member be invited by e-mail, to the pool `hangzhou` unless `fields` name something else."""
    named = {"invitation": next_id("i"), "inviter": inviter, "invitee": invitee, "channel": "email"}
    if not {"group", "play", "pool"} & fields.keys():
        named["pool"] = "hangzhou"
    return event("invitation.requested", **{**named, **fields})


def ticked(**fields: Any) -> JsonEvent:
    """Knock: a deadline is due."""
    return event("clock.ticked", **fields)


def claimed(disputed: str, member: str, dispute: str = "d-1", **fields: Any) -> JsonEvent:
    """Open a dispute, by default about an order."""
    named = {"about": "order", "actor": member, "reason": "not_received"}
    return event("dispute.opened", dispute=dispute, disputed=disputed, member=member, **{**named, **fields})


def answered(dispute: str = "d-1", **fields: Any) -> JsonEvent:
    """Answer a claim, as the merchant."""
    return event("dispute.answered", **{"dispute": dispute, "party": "merchant", "actor": "shop.desk", **fields})


def evidenced(evidence: str = "ab" * 32, dispute: str = "d-1", **fields: Any) -> JsonEvent:
    """Hand in a commitment to a file."""
    named = {"dispute": dispute, "party": "member", "actor": "m-1"}
    return event("dispute.evidenced", **{**named, "evidence": evidence, **fields})


def resolved(kind: str = "none", dispute: str = "d-1", **fields: Any) -> JsonEvent:
    """Resolve a dispute with a remedy of a kind; `remedy` adds to what it names."""
    remedy = {"kind": kind, **fields.pop("remedy", {})}
    named = {"verdict": "rejected" if kind == "none" else "upheld", "actor": "cs-7", "reason": "looked_into"}
    return event("dispute.resolved", dispute=dispute, remedy=remedy, **{**named, **fields})


def appealed(dispute: str = "d-1", **fields: Any) -> JsonEvent:
    """Appeal against a resolution, as the member."""
    named = {"party": "member", "actor": "m-1", "reason": "new_facts"}
    return event("dispute.appealed", dispute=dispute, **{**named, **fields})


def play_market(**fields: Any) -> JsonEvent:
    """Configure a market that has committed to the secret of its draws, and in which shops may open plays.

    It suspects nobody, whatever help looks like: tests of detection and of the ladder ask for `standing`.
    """
    publishers = {SHOP: PLAY_FAMILIES, "shop-b": PLAY_FAMILIES}
    secret_commitment = fair.secret_commitment(fair.secret_of(MARKET_KEY))
    unsuspecting = {"hold_points": 1_000_000, "refuse_points": 1_000_000}
    defaults = {"publishers": publishers, "secret_commitment": secret_commitment, "standing": unsuspecting}
    return market(**{**defaults, **fields})


def bargain(play: str = "b1", member: str = "owner", **fields: Any) -> JsonEvent:
    """Open a bargain from 39.90 to 9.90 CNY for ten helpers; `terms` are joined with the given ones."""
    terms = {"currency": "CNY", "start_minor": 3_990, "floor_minor": 990, **fields.pop("terms", {})}
    return event(
        "play.opened", **{"play": play, "form": "bargain", "member": member, "helper_limit": 10, **fields}, terms=terms
    )


def lottery(
    play: str = "l1", prizes: Iterable[tuple[str, int]] = (("kettle", 1), ("tea", 2)), **fields: Any
) -> JsonEvent:
    """Open a lottery for a kettle and two teas."""
    rows = [{"prize": prize, "quantity": quantity} for prize, quantity in prizes]
    terms = {"prizes": rows, **fields.pop("terms", {})}
    return event("play.opened", **{"play": play, "form": "lottery", **fields}, terms=terms)


def unlock(
    play: str = "u1", member: str = "owner", tiers: Iterable[tuple[int, str]] = ((2, "c2"), (4, "c4")), **fields: Any
) -> JsonEvent:
    """Open a play that unlocks a coupon with two assists and another with four."""
    rows = [{"helpers": helpers, "reward": reward} for helpers, reward in tiers]
    terms = {"tiers": rows, **fields.pop("terms", {})}
    return event("play.opened", **{"play": play, "form": "unlock", "member": member, **fields}, terms=terms)


def play_closed(play: str, cause: str = "early", **fields: Any) -> JsonEvent:
    """Close a play before its time."""
    return event("play.closed", play=play, cause=cause, **fields)


def assist(play: str = "b1", member: str | None = None, **fields: Any) -> JsonEvent:
    """Help a play."""
    named = {"play": play, "assist": next_id("a"), "member": member or next_id("h")}
    return event("assist.given", **{**named, **fields})


def voided(play: str, assist: str, member: str, verdict: str = "void", **fields: Any) -> JsonEvent:
    """End the review of an assist."""
    return event("assist.voided", **_by_service(play=play, assist=assist, member=member, verdict=verdict, **fields))


def signals(device: str | None = None, network: str | None = None, age_days: int | None = None) -> dict[str, Any]:
    """Return signals as a publisher sends them: names of a device and a network, hashed."""
    known: dict[str, Any] = {name: sha256_hex(of) for name, of in (("device", device), ("network", network)) if of}
    return known if age_days is None else {**known, "account_age_days": age_days}


def sha256_hex(what: str) -> str:
    """Return a SHA-256 as hexadecimal digits."""
    return hashlib.sha256(what.encode()).hexdigest()


def reported(member: str, reporter: str, cause: str = "fraud", **fields: Any) -> JsonEvent:
    """Complain of a member."""
    return event("member.reported", member=member, reporter=reporter, cause=cause, **fields)


def sanctioned(member: str, rung: str = "limited", **fields: Any) -> JsonEvent:
    """Sanction a member on an operator's word."""
    return event("member.sanctioned", **_by_service(member=member, rung=rung, **fields))


def reinstated(member: str, **fields: Any) -> JsonEvent:
    """Undo a member's sanction."""
    return event("member.reinstated", **_by_service(member=member, **fields))
