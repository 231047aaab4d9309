"""Re-execution: the matcher's rules over the inputs that are archived, compared with what is archived, byte for byte.

An input is archived in the entry that answers it: position, accepted time, publisher, the event's own bytes. Timer
work has no input of its own: it is due at the accepted time of the next one, or left over by the one before.

Two things of an input are not archived and so taken as recorded: the bytes of what could not be read or named a
person (the length and keyed hash that stand in their place, and the fault), and the subject that an event came on.
Position, accepted time and everything that was due are decided anew for those as well.
"""

import hashlib
from collections import Counter
from typing import Final

import msgspec

from events import decisions as d
from events.reasons import Reason
from events.record import EntryBytes, decode_entry, decode_record, entry_id
from events.undecodable import UNDECODABLE
from services.ledger.archive import StoredRecord
from services.ledger.chain import place_of_record
from services.ledger.evolving import cannot_apply
from services.ledger.faults import LedgerBroken
from services.ledger.lean import EntryPosition
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones
from services.matcher.domain.terms import RULE_VERSIONS

UNKEPT_REASONS: Final = frozenset(
    {Reason.PERSONAL_DATA, Reason.MARKET_NOT_CONFIGURED, Reason.WRONG_FAMILY, Reason.PUBLISHER_NOT_ALLOWED}
)
"""Why an event may be refused whose bytes are not kept: it names a person, or had no right to be heard at all."""
SECRET_KINDS: Final[list[bytes]] = [
    *(b'"seed_sha256":"', b'"seed":"', b'"cut_minor":', b'"kind":"play.won"', b'"winners":', b'"link":"'),
    f'"reason":"{Reason.DRAWS_NOT_COMMITTED}"'.encode(),
]
"""What stands in entries that follow from the market's secret: seeds, draws, share links, commitments refused."""

_ASTRAY: Final = f'"reason":"{Reason.WRONG_FAMILY}"'.encode()
_MARKET_SET: Final = b'"kind":"market.set"'
_ENTRIES: Final = b'"entries":['


class _Inputs(msgspec.Struct, gc=False):
    """A record, its entries only as far as deciding again needs them."""

    rule: int
    entries: list[EntryBytes]


_decoder: Final = msgspec.json.Decoder(_Inputs)


class Differs(Exception):
    """An entry that the rules lead to is not the one that is archived; None stands for none at all."""

    def __init__(self, record: int, archived: bytes | None, redone: bytes | None, sentence: str) -> None:
        super().__init__(sentence)
        self.record = record
        self.archived = archived
        self.redone = redone
        self.sentence = sentence


class Redone(msgspec.Struct, kw_only=True):
    """What has been done so far, by the number of entries or inputs."""

    records: int = 0
    entries: int = 0
    inputs: int = 0
    evolved: int = 0
    """Entries before the first that was decided again: the state begins as they left it."""
    begun_with: str = ""
    """SHA-256 of the state that they led to; empty where there were none."""
    as_recorded: dict[str, int] = {}
    """Inputs of which a part is not archived and was taken as recorded, by what it was."""
    not_checked: int = 0
    """Entries that follow from secrets which were not at hand."""
    first_not_checked: str | None = None
    rules: dict[int, int] = {}
    """Entries by the rule version that they were decided under."""
    tzdata: list[str] = []


class Redoing:
    """Decides one market's archive again, a record at a time, from its beginning or from a position on."""

    def __init__(self, market: str, facts: Facts | None, zones: Zones, start: EntryPosition | None = None) -> None:
        """Without `facts` what follows from secrets is not checked; entries before `start` are only evolved."""
        self.engine = Engine(market, facts or Facts(market_key=bytes(32), are_known=False), zones)
        self.done = Redone()
        self._has_facts = facts is not None
        self._start = start
        self._made: list[bytes] = []
        """Entries that the rules led to and that no archived one has been compared with."""
        self._awaited: list[tuple[int, bytes]] = []
        """Archived entries, with their record, that the rules have not led to yet: what is due before an event."""
        self._part = slice(0, 0)
        """Which entries of the record at hand are decided again."""
        self._size = 0
        self._record = 0
        self._taken_over: tuple[int, int] | None = None
        self._as_recorded: Counter[str] = Counter()
        self._rules: Counter[int] = Counter()

    def add(self, record: StoredRecord, until: EntryPosition | None = None) -> bool:
        """Decide the inputs of the next record again and compare; tell whether the input `until` has been reached.

        That input itself is left out. Raises Differs at the first entry that is not what is archived, LedgerBroken
        when the record cannot be read.
        """
        inputs = self._read(record)
        self._record, self._size = record.seq, len(inputs.entries)
        self._part = slice(0, self._size)
        if self._start is not None and not self._pass_over(self._start, inputs, record):
            return False
        is_last = until is not None and self._cut(inputs, until)
        self._check_rule(inputs, record)
        before = self.done.inputs
        try:
            left = self._decide(inputs, record)
        except (Differs, LedgerBroken):
            raise
        # Whatever a history that was tampered with makes of the rules, it is a finding and no traceback.
        except Exception as error:
            raise self._broke_down(record, inputs, before, error) from error
        self._compare(record, left)
        self._rules[inputs.rule] += len(inputs.entries)
        self.done.entries += len(inputs.entries)
        self.done.records += bool(inputs.entries) and self._part.stop == self._size
        return is_last

    def finish(self, *, is_whole: bool = True) -> Redone:
        """Check what stands at the end, and return what was done.

        An archive may end within an input: what was due before its event is there then, and not the event. What
        stands at the end of a part that is not the whole is for the next part to check.
        """
        if self._awaited and is_whole:
            last = decode_entry(self._awaited[-1][1])
            self._made += self.engine.redo_due(last.at, last.seq, last.index)
            self._pair_off()
        if self._awaited:
            record, raw = self._awaited[0]
            raise Differs(record, raw, None, "the rules lead to no such entry")
        if self._made and not is_whole:
            raise Differs(self._record, None, self._made[0], "the rules lead to an entry that is not archived")
        return self.summed_up()

    def summed_up(self) -> Redone:
        """Return what was done so far."""
        self.done.as_recorded, self.done.rules = dict(self._as_recorded), dict(self._rules)
        return self.done

    # Reading

    def _read(self, record: StoredRecord) -> _Inputs:
        try:
            inputs = _decoder.decode(record.body)
        except UNDECODABLE as error:
            raise LedgerBroken(place_of_record(record.seq), f"it cannot be read: {error}; run `verify`") from None
        if inputs.rule not in RULE_VERSIONS:
            raise LedgerBroken(
                place_of_record(record.seq),
                f"it was decided under rule version {inputs.rule}, which is not known here "
                f"(known: {', '.join(map(str, RULE_VERSIONS))}): use a version of the program that knows it",
            )
        return inputs

    def _check_rule(self, inputs: _Inputs, record: StoredRecord) -> None:
        """Compare the rule version that a record names with the one in force where it begins with a message."""
        market = self.engine.state.market
        if market is None or self._made or self._awaited or not inputs.entries:
            return
        # A message is decided under the version in force before it, whatever it sets, and may fill several records.
        begins_message = (inputs.entries[0].index, inputs.entries[0].part) == (0, 0)
        if begins_message and market.rule_version != inputs.rule:
            raise LedgerBroken(
                place_of_record(record.seq),
                f"it names rule version {inputs.rule}, but version {market.rule_version} was in force",
            )

    def _pass_over(self, start: EntryPosition, inputs: _Inputs, record: StoredRecord) -> bool:
        """Apply the entries before the input that `start` belongs to; tell whether that has been reached."""
        count = _count_before(inputs, start)
        for raw, entry in zip(_entries_of(record)[:count] if count else (), inputs.entries, strict=False):
            try:
                self.engine.evolve(raw)
            except Exception as error:
                raise cannot_apply((entry.seq, entry.index, entry.part), error) from error
        self.done.evolved += count
        inputs.entries = inputs.entries[count:]
        self._part = slice(count, self._size)
        if not inputs.entries:
            return False
        self.done.begun_with = hashlib.sha256(self.engine.snapshot()).hexdigest()
        self._start = None
        return True

    def _cut(self, inputs: _Inputs, until: EntryPosition) -> bool:
        """Leave out of a record what does not come before an input; tell whether anything was left out."""
        count = _count_before(inputs, until)
        is_cut = count < len(inputs.entries)
        inputs.entries = inputs.entries[:count]
        self._part = slice(self._part.start, self._part.start + count)
        return is_cut

    # Deciding

    def _decide(self, inputs: _Inputs, record: StoredRecord) -> int:
        """Decide the inputs of a record again; return how many of its last entries are still to be compared."""
        body = record.body
        if _MARKET_SET in body:
            self._adopt_zones(body)
        if not self._has_facts and any(kind in body for kind in SECRET_KINDS):
            self._decide_without_secrets(inputs, record)
            return 0
        may_be_astray = _ASTRAY in body
        for entry in inputs.entries:
            if entry.publisher is not None:
                self._decide_one(entry, record.seq, may_be_astray=may_be_astray)
        return len(inputs.entries)

    def _decide_one(self, entry: EntryBytes, record: int, *, may_be_astray: bool) -> None:
        if entry.event is None:
            self._retake(entry, record)
        else:
            self._made += self.engine.redo(entry, is_astray=may_be_astray and self._is_astray(entry))
        self.done.inputs += 1

    def _is_astray(self, entry: EntryBytes) -> bool:
        """Tell whether an event was refused for the subject that it came on, which is not archived."""
        is_astray = _ASTRAY in bytes(entry.decisions[0])
        if is_astray:
            self._as_recorded["subject"] += 1
        return is_astray

    def _retake(self, entry: EntryBytes, record: int) -> None:
        """Take the outcome of an input that is not kept, if it is one that such an input can have."""
        raw = msgspec.json.encode(entry)
        whole = decode_entry(raw)
        decision = whole.decisions[0]
        if isinstance(decision, d.Malformed):
            self._as_recorded["malformed"] += 1
        elif isinstance(decision, d.Refused) and decision.reason in UNKEPT_REASONS and decision.keyed_hash is not None:
            self._as_recorded["personal_data"] += 1
        else:
            raise Differs(record, raw, None, "an entry without its event can only be malformed or refused unseen")
        if len(whole.decisions) != 1:
            raise Differs(record, raw, None, "an input that is not kept has one outcome and no more")
        self._made += self.engine.retake(whole)

    def _adopt_zones(self, body: bytes) -> None:
        """Decide under the time zones that were in force: a later release of them is no difference in the rules."""
        for raw in decode_record(body).entries:
            version = tzdata_in(bytes(raw))
            if version is not None:
                self.engine.zones = msgspec.structs.replace(self.engine.zones, version=version)
                self.done.tzdata += [version] if version not in self.done.tzdata else []

    def _decide_without_secrets(self, inputs: _Inputs, record: StoredRecord) -> None:
        """Decide a record whose secrets are not at hand: an input that needs one is taken as archived, whole."""
        raws = _entries_of(record)[self._part]
        pairs = list(zip(inputs.entries, raws, strict=True))
        secret = {(entry.seq, entry.index) for entry, raw in pairs if any(kind in raw for kind in SECRET_KINDS)}
        for entry, raw in pairs:
            place = (entry.seq, entry.index)
            if (place in secret or place == self._taken_over) and not self._made:
                self.engine.evolve(raw)
                self._taken_over = place
                self.done.not_checked += 1
                self.done.first_not_checked = self.done.first_not_checked or entry_id(*place, entry.part)
                continue
            self._awaited.append((record.seq, raw))
            if entry.publisher is not None:
                self._decide_one(entry, record.seq, may_be_astray=True)
            self._pair_off()

    # Comparing

    def _compare(self, record: StoredRecord, count: int) -> None:
        """Compare the last `count` entries of a record with what was made, as one run of bytes where possible."""
        if count == 0:
            return
        is_plain = count == self._size and not self._awaited and len(self._made) >= count
        if is_plain and record.body.endswith(b"".join((_ENTRIES, b",".join(self._made[:count]), b"]}"))):
            del self._made[:count]
            return
        self._awaited += [(record.seq, raw) for raw in _entries_of(record)[self._part]]
        self._pair_off()

    def _pair_off(self) -> None:
        pairs = min(len(self._awaited), len(self._made))
        for (record, archived), redone in zip(self._awaited, self._made[:pairs], strict=False):
            if archived != redone:
                raise Differs(record, archived, redone, "the rules lead to another entry than the one that is archived")
        del self._awaited[:pairs], self._made[:pairs]

    def _broke_down(self, record: StoredRecord, inputs: _Inputs, before: int, error: Exception) -> Differs:
        answered = [entry for entry in inputs.entries if entry.publisher is not None]
        at = answered[min(self.done.inputs - before, len(answered) - 1)]
        return Differs(
            record.seq,
            msgspec.json.encode(at),
            None,
            f"the rules cannot go on from here ({type(error).__name__}: {str(error)[:200] or 'no more is known'}): "
            "what is archived before does not lead to it",
        )


def tzdata_in(raw: bytes) -> str | None:
    """Return the release of the time zones that an entry put in force, None when it put none."""
    decisions = decode_entry(raw).decisions if _MARKET_SET in raw else []
    return next((decision.tzdata for decision in decisions if isinstance(decision, d.MarketSet)), None)


def _count_before(inputs: _Inputs, position: EntryPosition) -> int:
    """Return how many entries come before the input that `position` belongs to."""
    return sum((entry.seq, entry.index) < position[:2] for entry in inputs.entries)


def _entries_of(record: StoredRecord) -> list[bytes]:
    return list(map(bytes, decode_record(record.body).entries))
