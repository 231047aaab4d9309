"""One explanation, and how it is filled in."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from events.money import amount
from events.times import format_time_ns

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
_TIMES: Final = frozenset(
    {"deadline", "hold_until", "at", "until", "week_ends", "answer_until", "resolve_until", "appeal_until"}
)
_MONEY: Final = frozenset({"payable_minor", "amount_minor", "price_minor"})
_WORDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "status": {
        "open": ("open", "在售"),
        "withdrawn": ("withdrawn", "已下架"),
        "settled": ("settled", "已退款"),
        "failed": ("failed", "退款失败"),
    },
    "ground": {
        "assists_held": ("help was held for review", "助力被暂缓审核"),
        "assists_refused": ("help was refused as not genuine", "助力被判定为不真实"),
        "assists_voided": ("help was found not to count", "助力经审核无效"),
        "seats_unpaid": ("seats were taken and not paid", "占位后未付款"),
        "group_filled_alone": ("a group was filled from one hand", "团由同一方凑满"),
        "operator": ("customer service decided so", "由客服决定"),
    },
}
"""How the few words that stand in a decision are read in English and Chinese, by the field that they stand in."""


class Explanation(msgspec.Struct, frozen=True):
    """Which rule it is, by the section of RULES.md, and a sentence in each language with the decision's own fields."""

    rule: str
    en: str
    zh: str

    def text(self, language: Language, fields: Mapping[str, Any]) -> str:
        """Return the sentence in a language, filled in."""
        template = self.en if language == "en" else self.zh
        return template.format_map(_Filled(language, fields))


class _Filled(dict[str, str]):
    """Fields as people read them; what a decision leaves out is a dash."""

    def __init__(self, language: Language, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self._language = language
        self._fields = fields

    def __missing__(self, name: str) -> str:
        value = self._fields.get(name)
        if value is None:
            return "-"
        if name in _TIMES and isinstance(value, int):
            return format_time_ns(value)
        if name in _MONEY and isinstance(value, int):
            return amount(value, str(self._fields.get("currency", "")))
        english, chinese = _WORDS.get(name, {}).get(str(value), (str(value), str(value)))
        return english if self._language == "en" else chinese
