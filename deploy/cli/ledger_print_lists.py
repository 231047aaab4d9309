"""How long answers of the ledger are told, an element at a time: entries, notices, refunds; and lists as JSON."""

import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from deploy.cli.ledger_print import print_line
from events.money import amount
from events.times import format_time_ns
from services.ledger.notices import ShownNotice
from services.ledger.refunds import RefundState
from services.ledger.show import ShownEntry


def print_json_list(name: str, items: Iterable[Any]) -> int:
    """Print an object with one list, an element at a time, and return how many there were."""
    sys.stdout.write("{")
    count = _print_list(name, items)
    sys.stdout.write("}\n")
    return count


def _print_list(name: str, items: Iterable[Any]) -> int:
    count = 0
    sys.stdout.write(f'"{name}":[')
    for count, item in enumerate(items, start=1):
        sys.stdout.write(f"{',' if count > 1 else ''}\n{msgspec.json.encode(item).decode()}")
    sys.stdout.write("]")
    return count


def _print_entries(entries: Iterable[ShownEntry], *, as_json: bool) -> int:
    if as_json:
        return print_json_list("entries", entries)
    return sum(1 for entry in entries if _print_entry(entry))


def print_story(entries: Iterable[ShownEntry], notices: Iterable[ShownNotice] | None, *, as_json: bool) -> int:
    """Print entries, and what a member was told of them; return how many there were in all."""
    if notices is None:
        return _print_entries(entries, as_json=as_json)
    if not as_json:
        count = _print_entries(entries, as_json=False)
        return count + sum(1 for notice in notices if _print_notice(notice))
    counts = []
    for name, items in (("entries", entries), ("notices", notices)):
        sys.stdout.write("{" if name == "entries" else ",")
        counts.append(_print_list(name, items))
    sys.stdout.write("}\n")
    return sum(counts)


def _print_notice(notice: ShownNotice) -> bool:
    print_line(f"{notice.at}  entry {notice.entry}  {notice.sentence}")
    return True


def _print_entry(entry: ShownEntry) -> bool:
    print_line(f"{entry.at}  entry {entry.entry}  {entry.cause}")
    for sentence in entry.outcome:
        print_line(f"    -> {sentence}")
    return True


def print_refund(refund: RefundState) -> bool:
    """Print what is owed back, for what, and since when."""
    owed = amount(refund.amount_minor, refund.currency)
    print_line(
        f"{refund.refund}  {refund.status}  order {refund.order}, payment {refund.payment}: {owed}, "
        f"{refund.cause}, due {format_time_ns(refund.due_at_ns)} (entry {refund.due_entry})"
    )
    return True
