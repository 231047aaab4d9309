"""One part of an archive decided again: here, or in a process of its own."""

import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from events.record import BadRecord, decode_entry, entry_id
from events.undecodable import UNDECODABLE
from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.lean import EntryPosition
from services.ledger.redoing import Differs, Redoing, Redone
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress
from services.matcher.domain.facts import Facts, Zones

YOUNG_OBJECTS: Final = 50_000
"""Allocations between collections: what the rules allocate has no cycles."""


ROOT: Final = Path(__file__).resolve().parents[2]


class Place(msgspec.Struct, frozen=True):
    """Where another process finds the same ledger."""

    url: str
    market: str
    data_dir: str


class Source(msgspec.Struct, frozen=True):
    """What is decided with: the market's secrets, if they are at hand, and the time zones."""

    facts: Facts | None
    zones: Zones


class Difference(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first entry that differs: as it is archived and as the rules lead to it; absent where there is none."""

    entry: str
    record: int
    sentence: str
    archived: str | None = None
    redone: str | None = None


class Part(msgspec.Struct):
    """What became of one part of an archive; `state_hash` is that of the state after it."""

    done: Redone
    state_hash: str
    difference: Difference | None = None


class Task(msgspec.Struct, frozen=True):
    """What a process of its own is to do: the inputs from `start` on, up to record `end`; it has its own zones."""

    place: Place
    facts: Facts | None
    start: EntryPosition
    end: int


class Answer(msgspec.Struct):
    """What it answers: a part, or where the archive could not be read and why."""

    part: Part | None = None
    place: str = ""
    sentence: str = ""


def redo_part(
    store: LedgerStore,
    source: Source,
    start: EntryPosition | None,
    until: EntryPosition | None,
    end: int,
    progress: Progress | None = None,
) -> Part:
    """Decide the inputs from `start` on, and before `until`, again; `end` is the last record that is looked at.

    Raises LedgerBroken when the archive cannot be read.
    """
    gc.set_threshold(YOUNG_OBJECTS, 50, 1_000)
    redoing = Redoing(store.market, source.facts, source.zones, start)
    total = store.tip.entries if store.tip is not None else 0
    try:
        for record in store.records():
            if record.seq > end or redoing.add(record, until):
                break
            if progress is not None:
                progress(redoing.done.evolved + redoing.done.entries, total)
        done = redoing.finish(is_whole=until is None)
    except Differs as differs:
        return Part(redoing.summed_up(), "", _difference(differs))
    return Part(done, hashlib.sha256(redoing.engine.snapshot()).hexdigest())


class PartElsewhere:
    """A part that another process, running `module`, decides again meanwhile; ended at the latest when this is left."""

    def __init__(self, task: Task, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        )
        assert self._process.stdin is not None, "a pipe"
        # Secrets go through the pipe: arguments and environment can be read by others.
        self._process.stdin.write(msgspec.msgpack.encode(task))
        self._process.stdin.close()
        self._process.stdin = None

    def __enter__(self) -> "PartElsewhere":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdout is not None, "a pipe"
        self._process.stdout.close()
        self._process.wait()

    def result(self) -> Part:
        """Wait for what it found. Raises LedgerBroken when the archive cannot be read, LedgerError when it failed."""
        answered, _ = self._process.communicate()
        try:
            answer = msgspec.msgpack.decode(answered, type=Answer)
        except UNDECODABLE:
            raise LedgerError(
                f"the process for the second part ended with status {self._process.returncode} and no answer: "
                "try again with `--jobs 1`"
            ) from None
        if answer.part is None:
            raise LedgerBroken(answer.place, answer.sentence)
        return answer.part


def answer(asked: bytes, zones: Zones) -> bytes:
    """Do the task in `asked` with nothing but what it says, and return the answer to it."""
    task, encode = msgspec.msgpack.decode(asked, type=Task), msgspec.msgpack.encode
    return encode(_answer(task, zones))


def _answer(task: Task, zones: Zones) -> Answer:
    place = task.place
    try:
        with LedgerStore.open(place.url, place.market, data_dir=Path(place.data_dir), read_only=True) as store:
            return Answer(redo_part(store, Source(task.facts, zones), task.start, None, task.end))
    except LedgerBroken as broken:
        return Answer(place=broken.place, sentence=broken.sentence)
    except LedgerError as error:
        return Answer(place="the ledger", sentence=str(error))


def _difference(differs: Differs) -> Difference:
    named = differs.archived if differs.archived is not None else differs.redone
    return Difference(
        entry=_name_in(named or b""),
        record=differs.record,
        sentence=differs.sentence,
        archived=None if differs.archived is None else differs.archived.decode(errors="replace"),
        redone=None if differs.redone is None else differs.redone.decode(errors="replace"),
    )


def _name_in(raw: bytes) -> str:
    try:
        entry = decode_entry(raw)
    except BadRecord:
        return "unreadable"
    return entry_id(entry.seq, entry.index, entry.part)
