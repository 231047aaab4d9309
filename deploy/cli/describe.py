"""Outcomes and decisions in one readable line each, for people at a terminal."""

from collections.abc import Mapping
from typing import Any, Final

from events.money import amount
from events.reason_sentences import SENTENCES
from events.times import format_time_ns

# Shown in this order; what is not named here is left to --json.
_FIELDS: Final = (
    *("dispute", "disputed", "verdict", "stage", "party"),
    *("play", "assist", "form", "offer", "order", "member", "group", "into"),
    *("refund", "status", "original", "of", "sku", "prize", "seed", "seed_sha256"),
    *("about", "invitation", "inviter", "invitee", "pool", "channel", "link", "limit", "consequence"),
)
_COUNTS: Final = (
    *("missing", "seats", "edition", "rule_version", "helpers", "helpers_left", "reached", "tickets", "total"),
    *("winners", "draw", "draws", "used", "most", "grant"),
)


def moment(at_ns: int) -> str:
    """Return a time in UTC to the millisecond."""
    text = format_time_ns(at_ns)
    return f"{text[:10]} {text[11:23]}Z"


def describe(outcome: Mapping[str, Any], separator: str = "; ") -> str:
    """Return an outcome, and what else the event brought about, each described in some words."""
    return separator.join(map(_describe_one, [outcome, *outcome.get("also", ())]))


def _describe_one(decision: Mapping[str, Any]) -> str:
    words = [f"{decision['kind']}:"]
    words += [f"{name} {decision[name]}" for name in _FIELDS if name in decision]
    words += [f"{name} {decision[name]}" for name in _COUNTS if isinstance(decision.get(name), int)]
    words += _money_words(decision)
    if "hold_until" in decision:
        words.append(f"until {moment(decision['hold_until'])}")
    for end in ("deadline", "ends_at"):
        if end in decision:
            words.append(f"open until {moment(decision[end])}")
    for name, what in (("answer_until", "answer"), ("resolve_until", "resolution"), ("appeal_until", "appeal")):
        if name in decision:
            words.append(f"{what} before {moment(decision[name])}")
    words += _why_words(decision)
    return " ".join(words).removesuffix(":")


def _money_words(decision: Mapping[str, Any]) -> list[str]:
    currency = decision.get("currency")
    if currency is None:
        return []
    if "payable_minor" in decision:
        paid = f"paid by {decision['payment']}" if "payment" in decision else "to pay"
        return [f"{amount(decision['payable_minor'], currency)} {paid}"] if decision["payable_minor"] else []
    cut = [f"{amount(decision['cut_minor'], currency)} cut"] if "cut_minor" in decision else []
    price = [f"price {amount(decision['price_minor'], currency)}"] if "price_minor" in decision else []
    return [*cut, *price, *([amount(decision["amount_minor"], currency)] if "amount_minor" in decision else [])]


def _why_words(decision: Mapping[str, Any]) -> list[str]:
    words = [f"because of {decision['cause']}"] if "cause" in decision else []
    # `reason` is a code of ours in a refusal, and customer service's own word elsewhere.
    code = decision.get("why") or decision.get("reason")
    if code in SENTENCES:
        words.append(f"{code} - {SENTENCES[code][0]}")
    elif code:
        words.append(f"reason {code}")
    if decision.get("detail"):
        words.append(f"({decision['detail']})")
    return words
