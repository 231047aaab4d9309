"""Parts of the matcher's state in field names that a person can read: what each is called and what of it is shown.

Some parts only serve the program: counters under hashed keys, what detection remembers, indexes. They are not shown,
only counted. A part that is not named here is shown as it is stored, so that nothing new is overlooked.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from events.limits import PLAY_HELPERS_MAX
from services.ledger.lean import name_of
from services.matcher.domain import state as s
from services.matcher.domain.disputes import book
from services.matcher.domain.plays import state as plays
from services.matcher.domain.positions import unpack_entry
from services.matcher.domain.standing import ladder

Fields = dict[str, Any]

_INTERNAL: Final = (
    *("holds", "closings", "standing.book", "standing.seats", "standing.doubts", "disputes.claims", "disputes.final"),
    *("plays.by_pair", "plays.by_offer", "plays.assists", "plays.day", "plays.week"),
    *("members.limited", "members.watching"),
)
_ORDER_STATUS: Final = {
    s.HELD: "held",
    s.CONFIRMED: "confirmed",
    s.FILLED: "filled",
    s.LOST: "lost",
    s.GONE: "gone",
    s.REFUNDED: "refunded",
}
_ORDER_FIELDS: Final = (
    *("member", "publisher", "group", "sku", "quantity", "strangers", "merge", "leads"),
    *("payable_minor", "payment", "paid_minor", "hold_until", "ended_at"),
)
_ORDER: Final = s.Order(order="", member="", publisher="", group="", status=s.CONFIRMED, entry=0)
"""What an order is unless it says otherwise."""
_GROUP_STATUS: Final = {
    s.OPEN: "open",
    s.GROUP_FILLED: "filled",
    s.EXPIRED: "expired",
    s.DISSOLVED: "dissolved",
    s.MERGED: "merged",
}
_DISPUTE_STATUS: Final = {book.OPEN: "open", book.RESOLVED: "resolved", book.FINAL: "final"}
_SIDES: Final = {
    s.BLOCKS: "blocks",
    s.IS_BLOCKED: "is blocked by",
    s.BLOCKS | s.IS_BLOCKED: "blocks, and is blocked by",
}
_ASSISTS: Final = {
    plays.COUNTED: "assists_counted",
    plays.HELD: "assists_held",
    plays.REFUSED: "assists_refused",
    plays.VOIDED: "assists_voided",
}
_PROGRESS: Final = {"bargain": "remaining_minor", "lottery": "tickets", "unlock": "reached"}
"""By form: what a play's number counts."""
_STATUS_BITS: Final = bytes(place & plays.STATUS for place in range(256))
_decode: Final = msgspec.msgpack.decode


class _Part(NamedTuple):
    """What a part of the state is called, and how its fields are read from what is packed."""

    what: str
    fields: Callable[[bytes], Fields]


def part_of(field: str) -> str | None:
    """Return what a part of the state is called, None for one that only serves the program."""
    if any(field == internal or field.startswith(f"{internal}.") for internal in _INTERNAL):
        return None
    known = _PARTS.get(field)
    return known.what if known is not None else field


def fields_of(field: str, packed: bytes) -> Fields:
    """Return what is shown of one thing in a part of the state."""
    known = _PARTS.get(field)
    return _plain(packed) if known is None else known.fields(packed)


def currency_of(fields: Fields) -> str | None:
    """Return the currency of the amounts among fields, None where none is named."""
    named = fields.get("currency") or fields.get("terms", {}).get("currency")
    return named if isinstance(named, str) else None


def _plain(packed: bytes) -> Fields:
    value = _decode(packed)
    return dict(_shown(value)) if isinstance(value, dict) else {"value": _clean(value)}


def _shown(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that say something."""
    for name, value in fields.items():
        if value is not None and value not in ([], {}, ""):
            yield str(name), _clean(value)


def _clean(value: Any) -> Any:
    """Return a value without raw bytes in it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return dict(_shown(value))
    return [_clean(each) for each in value] if isinstance(value, list) else value


def _offer(packed: bytes) -> Fields:
    offer = _decode(packed)
    own = {name: offer.get(name) for name in ("edition", "stock", "withdrawn", "open_groups")}
    return dict(_shown({**own, **offer["terms"]}))


def _group(packed: bytes) -> Fields:
    group = _decode(packed)
    sitting = group.get("sitting")
    own = {name: group.get(name) for name in ("offer", "edition", "pool", "deadline", "leader")}
    return dict(
        _shown(
            {
                **own,
                "status": _GROUP_STATUS[group.get("status", s.OPEN)],
                "orders": [sitting] if isinstance(sitting, str) else sitting,
                "taken": group.get("taken", 0),
                "confirmed": group.get("confirmed", 0),
            }
        )
    )


def _order(packed: bytes) -> Fields:
    order = _decode(packed, type=s.Order)
    said = {name: each for name in _ORDER_FIELDS if (each := getattr(order, name)) != getattr(_ORDER, name)}
    return dict(_shown({**said, "status": _ORDER_STATUS[order.status]}))


def _blocks(packed: bytes) -> Fields:
    return {str(other): _SIDES.get(sides, str(sides)) for other, sides in _decode(packed).items()}


def _dispute(packed: bytes) -> Fields:
    dispute = _decode(packed)
    told = {"answer_overdue": "unanswered_told", "resolution_overdue": "unresolved_told"}
    return dict(
        _shown(
            {
                **_but(dispute, "dispute", "alarm_no", *told.values()),
                "status": _DISPUTE_STATUS[dispute.get("status", book.OPEN)],
                **{name: dispute.get(field) for name, field in told.items()},
            }
        )
    )


def _invitation(packed: bytes) -> Fields:
    invited = _decode(packed)
    return {"allowed_by": name_of(unpack_entry(invited["entry"])), "remembered_until": invited["ends_ns"]}


def _counted(packed: bytes) -> Fields:
    counted = _decode(packed)
    return {"invitations": counted["count"], "day_ends": counted["ends_ns"]}


def _refusals(packed: bytes) -> Fields:
    refusals = _decode(packed)
    return {"refused": refusals["count"], "window_ends": refusals["ends_ns"]}


def _until(packed: bytes) -> Fields:
    return {"until": _decode(packed)}


def _week(packed: bytes) -> Fields:
    week = _decode(packed)
    orders = week.get("orders", {})
    reminded = [each.strip() for each in week.get("reminded", ())]
    named = {"week_ends": week["ends_ns"], **_but(week, "ends_ns"), "orders": sorted(orders), "reminded": reminded}
    return dict(_shown(named))


def _play(packed: bytes) -> Fields:
    play = _decode(packed, type=plays.Play)
    statuses = bytes(play.rows[: play.given * play.width : play.width]).translate(_STATUS_BITS)
    form, common, terms = msgspec.json.decode(play.rules)
    tickets = (
        {} if play.names is None else {play.names.name(at): play.names.number(at) for at in range(len(play.names))}
    )
    return dict(
        _shown(
            {
                "form": form,
                "member": play.member,
                "offer": play.offer,
                "publisher": play.publisher,
                "opened_by": name_of(unpack_entry(play.opened)),
                "ends": play.ends_ns,
                "status": "open" if play.status == plays.OPEN else "closed",
                **{name: statuses.count(status) or None for status, name in _ASSISTS.items()},
                _PROGRESS.get(form, "number"): play.number,
                "tickets_of": {name: count for name, count in tickets.items() if count},
                "prizes_drawn": play.drawn or None,
                "prizes_to_draw": play.to_draw or None,
                "helpers_at_most": play.helper_limit if play.helper_limit != PLAY_HELPERS_MAX else None,
                "terms": {**common, **terms},
            }
        )
    )


def _standing(packed: bytes) -> Fields:
    record = _decode(packed, type=ladder.Record)
    strikes = [
        {
            "at": strike.at_ns,
            "ground": strike.ground,
            "points": strike.points,
            "entry": name_of(unpack_entry(strike.entry)),
        }
        for strike in record.strikes
    ]
    reports = [{"at": report.at_ns, "reporter": report.reporter} for report in record.reports]
    rung = ladder.WORDS.get(record.rung)
    until = record.until_ns or None
    return dict(_shown({"rung": rung, "until": until, "strikes": strikes, "reports": reports}))


def _sanction(packed: bytes) -> Fields:
    rung = _decode(packed)
    return {"sanction": ladder.WORDS.get(rung, rung)}


def _but(fields: Mapping[str, Any], *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


_PARTS: Final = {
    "market": _Part("market", _plain),
    "offers": _Part("offer", _offer),
    "groups": _Part("group", _group),
    "orders": _Part("order", _order),
    "refunds": _Part("refund", _plain),
    "blocks": _Part("blocks of member", _blocks),
    "disputes.known": _Part("dispute", _dispute),
    "members.choices": _Part("choices of member", _plain),
    "members.invited": _Part("invitation", _invitation),
    "members.invited_to_plays.until_ns": _Part("known invitation to a play", _until),
    "members.by_inviter.by_key": _Part("invitations made today by member", _counted),
    "members.by_invitee.by_key": _Part("invitations received today by member", _counted),
    "members.by_pool.by_key": _Part("invitations today in pool", _counted),
    "members.pauses.until_ns": _Part("pause after an invitation of", _until),
    "members.refusals": _Part("refused invitations of member", _refusals),
    "members.limits.until_ns": _Part("stop on invitations by member", _until),
    "members.weeks": _Part("week of member", _week),
    "plays.plays": _Part("play", _play),
    "standing.ledge.records": _Part("standing of member", _standing),
    "standing.ledge.sanctioned": _Part("sanction of member", _sanction),
}
