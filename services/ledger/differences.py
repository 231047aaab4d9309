"""How two states of a market differ, one thing at a time, in words and field names that a person can read."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from services.ledger.readable import currency_of, fields_of, part_of
from services.matcher.domain import state as s
from services.matcher.domain.fifo import Fifo

PictureKey = tuple[str, str]
"""(field of the state, key in it, "" where the field is one thing)."""
Picture = dict[PictureKey, bytes]
"""A state taken apart into what can be compared one by one."""

_BOOKKEEPING: Final = frozenset({"now", "position", "decided", "counter", "identities", "holds", "blocks_by"})
_encode: Final = msgspec.msgpack.Encoder().encode


class Change(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something in the state that is not what it was; `before` and `after` hold only the fields that differ.

    `currency` is that of the amounts in minor units (`..._minor`), where there are any.
    """

    what: str
    name: str
    currency: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class Differences:
    """What differs between two states, and how much of it only serves the program, counted as it is gone through."""

    def __init__(self, before: Picture, after: Picture) -> None:
        self._before = before
        self._after = after
        self.internal = 0

    def __iter__(self) -> Iterator[Change]:
        """Yield what differs, in the order of the first state and then what only the second has."""
        self.internal = 0
        for key, value in self._before.items():
            if (now := self._after.get(key)) != value:
                yield from self._change(key, value, now)
        for key, value in self._after.items():
            if key not in self._before:
                yield from self._change(key, None, value)

    def _change(self, key: PictureKey, before: bytes | None, after: bytes | None) -> Iterator[Change]:
        field, name = key
        what = part_of(field)
        was = None if before is None or what is None else fields_of(field, before)
        now = None if after is None or what is None else fields_of(field, after)
        currency = currency_of(now or was or {}) or self._currency_of_order(field, now or was or {})
        if was is not None and now is not None:
            differing = [each for each in {**was, **now} if was.get(each) != now.get(each)]
            was = {each: was[each] for each in differing if each in was}
            now = {each: now[each] for each in differing if each in now}
        if what is None or not (was or now):
            self.internal += 1
            return
        yield Change(what=what, name=" and ".join(name.split("\n")), currency=currency, before=was, after=now)

    def _currency_of_order(self, field: str, order: dict[str, Any]) -> str | None:
        """Return the currency of an order, which its offer says."""
        if field != "orders":
            return None
        for state in (self._after, self._before):
            group = state.get(("groups", order["group"]))
            offer = state.get(("offers", fields_of("groups", group)["offer"])) if group is not None else None
            if offer is not None:
                return currency_of(fields_of("offers", offer))
        return None


def picture(state: s.State) -> Picture:
    """Take a state apart. What only serves the program, its memory of ids and its queues, is left out."""
    taken: Picture = {}
    for field in state.__struct_fields__:
        if field not in _BOOKKEEPING:
            _take(taken, field, getattr(state, field))
    return taken


def _take(taken: Picture, field: str, value: Any) -> None:
    if isinstance(value, Fifo) or value is None:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            taken[field, str(key)] = _encode(each)
    elif isinstance(value, msgspec.Struct) and field != "market":
        # A family's own part of the state.
        for inner in value.__struct_fields__:
            _take(taken, f"{field}.{inner}", getattr(value, inner))
    else:
        taken[field, ""] = _encode(value)
