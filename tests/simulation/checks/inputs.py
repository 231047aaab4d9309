"""Checks on inputs: each has one outcome, each counts once, and what publishers were told is what the journal says."""

import json
from collections import Counter
from typing import Any, Final

from events import subjects
from events.outcomes import outcome_of
from events.record import Entry
from events.times import parse_time_ns
from tests.simulation.checks.history import MARKET, History, must, stream

_FORGOTTEN: Final = (
    *("id_reused", "too_old", "from_the_future", "capacity", "wrong_family", "publisher_not_allowed"),
    *("market_not_configured", "personal_data"),
)
_KEPT_APART: Final = ("order", "invitation")
"""Things by whose own id a second event about the same thing is a duplicate."""


def every_input_has_one_outcome(history: History) -> None:
    """Each event in the intake has exactly one entry that answers it, in order, and nothing else has."""
    answered = Counter((entry.seq, entry.index) for entry in history.entries if entry.publisher is not None)
    doubled = [place for place, times in answered.items() if times > 1]
    must(not doubled, f"answered twice: {doubled[:3]}")
    missing = [place for place in history.inputs if place not in answered]
    must(not missing, f"not answered: {missing[:3]} of {len(missing)}")
    must(len(answered) == len(history.inputs), "an outcome without an input")
    order = [(entry.seq, entry.index, entry.part) for entry in history.entries]
    must(order == sorted(set(order)), "entries are not in order")


def accepted_time_is_the_brokers(history: History) -> None:
    """The accepted time of an input is the later of the broker's timestamp and the time before; it never runs back."""
    stored_at = {one.seq: one.at_ns for one in stream(history.world, subjects.intake_stream(MARKET)).history}
    by_event = history.world.setting.clock == "event"
    now = 0
    for entry in history.entries:
        must(entry.at >= now, f"{_name(entry)}: time went back by {now - entry.at} ns")
        if entry.publisher is not None and not by_event:
            due = max(now, stored_at[entry.seq])
            must(entry.at == due, f"{_name(entry)} was accepted {entry.at - due} ns from the broker's time")
        event = history.event_of(entry) if by_event and entry.publisher is not None else None
        if event is not None and event["type"] != "groupbuy.clock.ticked.v1":
            due = max(now, parse_time_ns(event["time"]))
            must(entry.at == due, f"{_name(entry)} was accepted {entry.at - due} ns from the event's time")
        now = entry.at


def events_count_once(history: History) -> None:
    """One identity is decided once; every other time it is a duplicate or refused as reused."""
    first: dict[tuple[str, str, str], bytes] = {}
    named: dict[str, dict[str, Any]] = {}
    for entry in history.entries:
        event = history.event_of(entry)
        if event is None or entry.publisher is None or event["type"] == "groupbuy.clock.ticked.v1":
            continue
        raw = bytes(entry.event or b"")
        answer = entry.decisions[0]
        kind = answer.__struct_config__.tag
        identity = (entry.publisher, event["source"], event["id"])
        if kind == "duplicate":
            same = first.get(identity) == raw or _is_about_the_same(event, named.get(answer.of))
            must(same, f"{identity} is a duplicate of nothing like it")
        elif kind != "refused":
            must(identity not in first, f"{identity} was decided twice")
            first[identity] = raw
        elif answer.reason == "id_reused":
            must(first.get(identity, b"") not in (b"", raw), f"{identity} is refused as nobody's reuse")
        elif answer.reason not in _FORGOTTEN:
            first.setdefault(identity, raw)
        named[_name(entry)] = event


def _is_about_the_same(event: dict[str, Any], original: dict[str, Any] | None) -> bool:
    if original is None:
        return False
    return any(thing in event["data"] and event["data"][thing] == original["data"].get(thing) for thing in _KEPT_APART)


def promises_to_publishers_hold(history: History) -> None:
    """What was acknowledged is in the intake as it was sent; what was answered is what the journal holds for it."""
    promises = history.world.promises
    by_place = {(entry.seq, entry.index): entry for entry in history.entries if entry.publisher is not None}
    for publisher, events, seq in promises.stored:
        for index, event in enumerate(events):
            what = f"event {event['id']} of {publisher}, acknowledged as {seq}.{index},"
            found = by_place.get((seq, index))
            must(found is not None, f"{what} was not decided")
            must(found is not None and found.publisher == publisher, f"{what} was decided for somebody else")
            must(_is_input(history, (seq, index), event), f"{what} is another event in the intake")
    named = {_name(entry): entry for entry in history.entries}
    for publisher, event, outcome in promises.outcomes:
        _check_outcome(history, publisher, event, outcome, named.get(outcome["entry"]))


def _check_outcome(
    history: History, publisher: str, event: dict[str, Any], outcome: dict[str, Any], entry: Entry | None
) -> None:
    what = f"{event.get('id')} of {publisher} was answered with entry {outcome['entry']}"
    must(entry is not None, f"{what}, which there is not")
    assert entry is not None
    must(entry.publisher == publisher, f"{what}, which answers {entry.publisher}")
    must(_is_input(history, (entry.seq, entry.index), event), f"{what}, which answers another event")
    must(key(outcome_of(entry, event["id"])) == key(outcome), f"{what}, but not as it stands there: {outcome}")


def _is_input(history: History, place: tuple[int, int], event: dict[str, Any]) -> bool:
    """Tell whether an event was published at a place; the gateway adds who published it, and nothing else."""
    raw = history.inputs.get(place)
    if raw is None:
        return False
    published = json.loads(raw)
    published.pop("publisher", None)
    return bool(published == {name: value for name, value in event.items() if name != "publisher"})


def nobody_gives_up_in_peace(history: History) -> None:
    """After the faults have ended every publisher gets an answer to everything that it sent before or sends then."""
    gave_up = history.world.promises.gave_up_in_peace
    must(not gave_up, f"publishers gave up although nothing was wrong any more: {gave_up[:2]}")


def key(document: dict[str, Any]) -> bytes:
    """Return a document as bytes to compare it by."""
    return json.dumps(document, sort_keys=True).encode()


def _name(entry: Entry) -> str:
    return f"{entry.seq}.{entry.index}.{entry.part}"
