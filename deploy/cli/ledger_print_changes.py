"""How changes of a market's state look on a terminal: names, times, amounts; no braces and no raw values."""

from typing import Any, Final

from deploy.cli.ledger_print import print_line
from events.money import amount
from events.times import format_time_ns
from services.ledger.differences import Change

_TIME_FROM_NS: Final = 10**17
"""A number as large as this is a time in ns: amounts and counts stay far below."""
_MINOR: Final = "_minor"


def print_change(change: Change) -> None:
    """Print one thing that is new (+), gone (-) or otherwise (~)."""
    name = f"{change.what} {change.name}".rstrip()
    if change.before is None or change.after is None:
        fields = change.after if change.before is None else change.before
        print_line(f"  {'+' if change.before is None else '-'} {name}: {_fields(fields or {}, change.currency)}")
        return
    print_line(f"  ~ {name}:")
    for field in dict.fromkeys((*change.before, *change.after)):
        before, after = (_field(field, fields, change.currency) for fields in (change.before, change.after))
        print_line(f"      {_words(field)}: {before} -> {after}")


def print_internal(count: int) -> None:
    """Print how much changed that says nothing to a person."""
    if count:
        print_line(f"  and what serves the program alone, such as counters: {count}")


def _fields(fields: dict[str, Any], currency: str | None) -> str:
    shown = (name for name in fields if fields[name] is not False and name != "currency")
    return ", ".join(f"{_words(name)} {_field(name, fields, currency)}" for name in shown) or "-"


def _field(name: str, fields: dict[str, Any], currency: str | None) -> str:
    if name not in fields:
        return "none"
    value = fields[name]
    if name.endswith(_MINOR) and type(value) is int:
        return amount(value, currency or "")
    return _value(value, currency)


def _value(value: Any, currency: str | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value >= _TIME_FROM_NS:
        return format_time_ns(value)
    if isinstance(value, dict):
        return f"({_fields(value, currency)})"
    if isinstance(value, list):
        return f"[{', '.join(_value(each, currency) for each in value)}]"
    return "none" if value is None else str(value)


def _words(name: str) -> str:
    return name.removesuffix("_ns").removesuffix(_MINOR).replace("_", " ")
