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
_CHINESE: Final = {"open": "在售", "withdrawn": "已下架", "settled": "已退款", "failed": "退款失败"}
"""How the few words that stand in a decision as they are read in Chinese."""


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
        return _CHINESE.get(str(value), str(value)) if self._language == "zh" and name == "status" else str(value)
