"""Deciding again what another matcher has decided: how a standby proves that it would have done the same.

An input stands in the entry that answers it: position, accepted time, publisher, the event's own bytes. A standby does
not take the decisions from the journal: it decides each input itself and compares all bytes. So a version whose rules
lead elsewhere is found out before it decides anything that counts.
"""

import asyncio
from typing import Final

import msgspec

from events.counted import counted
from events.reasons import Reason
from events.record import EntryBytes, Record, decode_entry, decode_entry_bytes, entry_id
from services.matcher.domain.engine import Engine

ENTRIES_AT_A_TIME: Final = 256
_SHOWN_CHARS: Final = 200
_MARKET_SET: Final = b'"kind":"market.set"'
_ASTRAY: Final = f'"reason":"{Reason.WRONG_FAMILY}"'.encode()
"""Why an event may be refused for the subject that it came on, which is not kept: taken as recorded."""


class Differs(Exception):
    """The rules of this process lead to another entry than the one that was committed; the message says where."""


class Rehearsal:
    """Moves an engine along the journal by deciding, and counts what it compared."""

    def __init__(self, engine: Engine) -> None:
        """Begin with an engine whose state is the one after the last record applied."""
        self._engine = engine
        self.records = 0
        self.entries = 0
        self.ahead: list[bytes] = []
        """What the last record left due: decided here, and in no record yet."""

    async def apply(self, seq: int, record: Record) -> None:
        """Decide the inputs of record `seq` and compare. Raises Differs, after which the engine is worth nothing."""
        made, self.ahead = self.ahead, []
        archived = list(map(bytes, record.entries))
        last: EntryBytes | None = None
        for at, raw in enumerate(archived, start=1):
            try:
                last = self._decide(raw, made)
            # Whatever the rules of this version make of it, it is a finding about them and no traceback.
            except Exception as error:
                raise Differs(_broke_down(seq, raw, error)) from error
            if at % ENTRIES_AT_A_TIME == 0:
                await asyncio.sleep(0)
        if last is not None and last.publisher is None and len(made) < len(archived):
            # The record ends with what was due before an input that is in none yet.
            made += self._engine.redo_due(last.at, last.seq, last.index)
        self._compare(seq, archived, made)
        self.ahead = made[len(archived) :]
        self.records += 1
        self.entries += len(archived)

    def _decide(self, raw: bytes, made: list[bytes]) -> EntryBytes:
        """Decide the input that an entry answers, if it is one; what is due comes with the next input."""
        entry = decode_entry_bytes(raw)
        if entry.publisher is None:
            return entry
        if entry.event is None:
            made += self._engine.retake(decode_entry(raw))
            return entry
        if _MARKET_SET not in raw:
            made += self._engine.redo(entry, is_astray=_ASTRAY in bytes(entry.decisions[0]))
            return entry
        made += self._redo_under_its_zones(raw, entry)
        return entry

    def _redo_under_its_zones(self, raw: bytes, entry: EntryBytes) -> list[bytes]:
        """Decide a configuration: another release of the time zones is no difference of the rules."""
        own = self._engine.zones
        versions = [getattr(decision, "tzdata", None) for decision in decode_entry(raw).decisions]
        version = next((version for version in versions if version is not None), own.version)
        self._engine.zones = msgspec.structs.replace(own, version=version)
        try:
            return self._engine.redo(entry)
        finally:
            self._engine.zones = own

    def _compare(self, seq: int, archived: list[bytes], made: list[bytes]) -> None:
        if made[: len(archived)] == archived:
            return
        for at, raw in enumerate(archived):
            if at >= len(made):
                raise Differs(_difference(seq, raw, "nothing", self.entries))
            if made[at] != raw:
                raise Differs(_difference(seq, raw, made[at].decode(errors="replace"), self.entries + at))


def _difference(seq: int, raw: bytes, made: str, compared: int) -> str:
    entry = decode_entry_bytes(raw)
    place = entry_id(entry.seq, entry.index, entry.part)
    committed = raw.decode(errors="replace")
    begin = next((at for at, (one, other) in enumerate(zip(committed, made, strict=False)) if one != other), 0)
    begin = max(0, begin - _SHOWN_CHARS // 4)
    alike = counted(compared, "entry that is", "entries that are")
    return (
        f"this version decides entry {place} of record {seq} otherwise than it was decided, after {alike} "
        f"the same: committed is ...{committed[begin : begin + _SHOWN_CHARS]}..., here it would be "
        f"...{made[begin : begin + _SHOWN_CHARS]}...; it does not take over: run the version that decided, or give "
        "the new rules a rule version of their own"
    )


def _broke_down(seq: int, raw: bytes, error: Exception) -> str:
    entry = decode_entry_bytes(raw)
    place = entry_id(entry.seq, entry.index, entry.part)
    why = f"{type(error).__name__}: {str(error)[:_SHOWN_CHARS]}"
    return (
        f"this version cannot decide entry {place} of record {seq} ({why}), which was decided; it does not take over: "
        "run the version that decided it"
    )
