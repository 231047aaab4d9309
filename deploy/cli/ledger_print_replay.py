"""How a replay, a difference and a what-if look on a terminal."""

import sys
from typing import Final

import msgspec

from deploy.cli.ledger_print import print_line
from deploy.cli.ledger_print_changes import print_change, print_internal
from events.counted import counted
from events.decisions import AnyDecision
from events.times import format_time_ns
from services.ledger.diff import Diff
from services.ledger.replay_check import ReplayReport
from services.ledger.what_if import WhatIf
from services.ledger.words import decision_in_words

_AS_RECORDED: Final = {
    "malformed": "could not be read: what is kept of it is its length and keyed hash",
    "personal_data": "named a person: what is kept of it is its length and keyed hash",
    "subject": "came on a subject of another family: subjects are not kept",
}


def print_replay(report: ReplayReport) -> None:
    """Print what was decided again."""
    difference = report.difference
    if difference is not None:
        print_line(f"entry {difference.entry} (record {difference.record}): {difference.sentence}")
        print_line(f"  archived: {difference.archived or 'nothing'}")
        print_line(f"  redone:   {difference.redone or 'nothing'}")
        print_line(f"Before it {counted(report.entries, 'entry is', 'entries are')} what the rules lead to.")
        return
    print_line(
        f"{counted(report.entries, 'entry', 'entries')} of {counted(report.inputs, 'input')}, "
        f"{report.first_entry or 'none'} to {report.last_entry or 'none'}, "
        f"{'is' if report.entries == 1 else 'are'} byte for byte what the rules lead to."
    )
    if report.evolved:
        were = counted(report.evolved, "entry before them was", "entries before them were")
        print_line(f"{were} applied, not decided again.")
    for what, count in report.as_recorded.items():
        were = counted(count, "input was", "inputs were")
        print_line(f"{were} taken as recorded in part: each {_AS_RECORDED.get(what, what)}.")
    if report.not_checked:
        follow, were = ("follows", "was") if report.not_checked == 1 else ("follow", "were")
        print_line(
            f"{counted(report.not_checked, 'entry', 'entries')}, the first {report.first_not_checked}, {follow} from "
            f"secrets that are not at hand and {were} NOT checked: name the market's file of secrets with --facts."
        )


def print_diff(found: Diff) -> None:
    """Print what changed between two entries."""
    head = found.head
    print_line(
        f"{counted(head.entries, 'entry', 'entries')}, {head.first_entry or 'none'} to {head.last_entry or 'none'}:"
    )
    for kind, count in head.decided.items():
        print_line(f"  {count:>8} x {kind}")
    is_any = False
    for change in found.changes:
        is_any = True
        print_change(change)
    if not is_any:
        print_line("  nothing that a person would look for changed")
    print_internal(found.changes.internal)


def print_diff_json(found: Diff) -> None:
    """Print the same as one document, a change at a time."""
    head = msgspec.json.encode(found.head).decode()
    sys.stdout.write(f'{head[:-1]},"changes":[')
    for number, change in enumerate(found.changes):
        sys.stdout.write(f"{',' if number else ''}\n{msgspec.json.encode(change).decode()}")
    sys.stdout.write(f'],"internal":{found.changes.internal}}}\n')


def print_what_if(found: WhatIf) -> None:
    """Print what would be otherwise."""
    how = f"had come at {format_time_ns(found.at_ns)}" if found.at_ns is not None else "had never come"
    print_line(
        f"If the event of entry {found.entry} {how}: of {counted(found.inputs_decided, 'input')} from there on "
        f"{found.outcomes_changed} would have another outcome{':' if found.outcomes else '.'}"
    )
    for outcome in found.outcomes:
        print_line(f"  entry {outcome.entry}")
        _print_decisions("decided:  ", outcome.decided)
        _print_decisions("would be: ", outcome.would_be)
    if found.outcomes_changed > len(found.outcomes):
        print_line(f"  ... and {found.outcomes_changed - len(found.outcomes)} more")
    for what, due in (("was", found.due_only_as_it_was), ("would be", found.due_only_as_it_would_be)):
        for decision in due:
            print_line(f"  due by itself only as it {what}: {_words(decision)}")
    print_line(
        f"In the end {counted(found.changes_counted, 'thing')} would stand otherwise{':' if found.changes else '.'}"
    )
    for change in found.changes:
        print_change(change)
    if found.changes_counted > len(found.changes):
        print_line(f"  ... and {found.changes_counted - len(found.changes)} more")
    print_internal(found.internal_changes)


def _print_decisions(label: str, decisions: list[msgspec.Raw]) -> None:
    for number, sentence in enumerate(map(_words, decisions) if decisions else ("nothing",)):
        print_line(f"    {label if number == 0 else ' ' * len(label)}{sentence}")


def _words(decision: msgspec.Raw) -> str:
    return decision_in_words(msgspec.json.decode(decision, type=AnyDecision))
