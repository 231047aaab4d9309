"""The rules of a play, as they are given, kept and read."""

from typing import Any

import msgspec

from events.market import MarketConfigured
from events.play import PlayOpened
from events.reasons import Reason
from services.matcher.domain.plays.form import Common, Form
from services.matcher.domain.plays.forms import FORMS
from services.matcher.domain.terms import Refusal


class Rules(msgspec.Struct, frozen=True, gc=False):
    """The rules of a play: its form, what is common to all plays, and the terms that only its form has."""

    form: Form
    common: Common
    terms: Any
    text: bytes
    """As a play keeps them."""


def terms_of(data: PlayOpened) -> Any:
    """Return the terms of a play's form. Raises Refusal with the field that is missing, unknown or out of range."""
    try:
        return msgspec.convert(data.terms, FORMS[data.form].Terms)
    except msgspec.ValidationError as error:
        text = str(error)
        reason = Reason.PLAY_INCOMPLETE if "missing required field" in text else Reason.PLAY_INCONSISTENT
        raise Refusal(reason, text.replace("$", "terms")) from None


def common_of(data: PlayOpened, market: MarketConfigured) -> Common:
    """Return the common rules of a play, the caps of the market as they are now where it sets none."""
    caps = market.assist_caps
    per_day, per_week = (None, None) if caps is None else (caps.per_helper_day, caps.per_pair_week)
    return Common(
        new_only=data.new_only,
        new_within_days=data.new_within_days,
        new_weight=data.new_weight,
        per_helper_day=per_day if data.per_helper_day is None else data.per_helper_day,
        per_pair_week=per_week if data.per_pair_week is None else data.per_pair_week,
    )


def rules_text(data: PlayOpened, market: MarketConfigured) -> bytes:
    """Return the rules of a play as it keeps them, its form's name with them."""
    return msgspec.json.encode((data.form, common_of(data, market), terms_of(data)))


def read_rules(text: bytes) -> Rules:
    """Return the rules that a play keeps as `text`."""
    name, common, terms = msgspec.json.decode(text, type=tuple[str, Common, dict[str, Any]])
    return Rules(FORMS[name], common, msgspec.convert(terms, FORMS[name].Terms), text)
