"""The witness's judgement: cosign a checkpoint that goes on from the last one, answer otherwise as C2SP says.

c2sp.org/tlog-witness: 400 no request, 404 log unknown, 403 not signed by it, 409 another size was cosigned last (the
body says which), 422 the proof does not hold. A log that forks or shrinks raises an alarm beside its answer.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from events.counted import counted
from services.ledger.checkpoint import Checkpoint, CheckpointError, open_checkpoint, read_unverified
from services.ledger.faults import LedgerError
from services.ledger.merkle import ProofError, verify_consistency
from services.ledger.note import SigningKey, VerifierKey
from services.ledger.notice_chain import signed_head
from services.ledger.witness.memory import Alarm, WitnessMemory
from services.ledger.witness.request import AddCheckpoint, BadRequest, parse_request

SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
_log: Final = logging.getLogger("groupbuy.witness")


class Answer(msgspec.Struct, frozen=True):
    """What the log is told."""

    status: int
    text: str
    content_type: str = TEXT_TYPE


class Tally(msgspec.Struct):
    """What the witness did since it began."""

    cosigned: int = 0
    refused: int = 0


class Witness:
    """One witness: its key, the logs it knows, what it remembers. One call at a time."""

    def __init__(
        self,
        key: SigningKey,
        logs: Iterable[VerifierKey],
        memory: WitnessMemory,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self.logs = {log.name: log for log in logs}
        self.memory = memory
        self.tally = Tally()
        self._now_s = now_s

    def add_checkpoint(self, body: bytes) -> Answer:
        """Return the answer to the request in `body`; a cosigned checkpoint has been kept by then.

        Raises LedgerError when it cannot be kept.
        """
        answer = self._judge(body)
        if answer.status == 200:
            self.tally.cosigned += 1
        else:
            self.tally.refused += 1
        return answer

    def last(self, log: VerifierKey) -> Checkpoint | None:
        """Return the last checkpoint cosigned of a log, checked. Raises LedgerError when the memory is damaged."""
        note = self.memory.checkpoint(log.name)
        if note is None:
            return None
        try:
            return open_checkpoint(note, log)
        except CheckpointError as error:
            raise LedgerError(
                f"what this witness remembers of {log.name} is damaged: {error}; it must not be thrown away lightly, "
                "since without it a shorter or another log would be cosigned"
            ) from None

    def alarms(self) -> list[Alarm]:
        """Return what speaks against the logs that are witnessed."""
        return [alarm for origin in self.logs if (alarm := self.memory.alarm(origin)) is not None]

    def _judge(self, body: bytes) -> Answer:
        try:
            asked = parse_request(body)
            origin = read_unverified(asked.note).origin
        except (BadRequest, CheckpointError) as error:
            return Answer(400, f"{error}\n")
        log = self.logs.get(origin)
        if log is None:
            return Answer(404, f"the log {origin[:200]} is not witnessed here\n")
        try:
            checkpoint = open_checkpoint(asked.note, log)
        except CheckpointError as error:
            return Answer(403, f"{error}\n")
        if asked.old_size > checkpoint.size:
            return Answer(400, f"the old size {asked.old_size} is above the checkpoint's, {checkpoint.size}\n")
        return self._compare(log, asked, checkpoint)

    def _compare(self, log: VerifierKey, asked: AddCheckpoint, checkpoint: Checkpoint) -> Answer:
        last = self.last(log)
        known = last.size if last is not None else 0
        leaves = counted(known, "leaf", "leaves")
        if last is not None and checkpoint.size == known and checkpoint.root != last.root:
            self._alarm(log, asked, f"it signed two different trees of {leaves}: it has forked", proven=True)
            return Answer(409, f"{known}\n", SIZE_TYPE)
        if checkpoint.size < known:
            self._alarm(
                log,
                asked,
                f"{leaves} {'was' if known == 1 else 'were'} cosigned, it presents {checkpoint.size}: it has shrunk",
            )
        if asked.old_size != known:
            return Answer(409, f"{known}\n", SIZE_TYPE)
        try:
            _check_growth(last, asked, checkpoint)
        except ProofError as error:
            self._alarm(
                log,
                asked,
                f"its tree of {counted(checkpoint.size, 'leaf', 'leaves')} is not shown to go on from the "
                f"{counted(known, 'that was', 'that were')} cosigned ({error}): it may have forked",
            )
            return Answer(422, f"{error}\n")
        sentence = _notices_fault(last, checkpoint)
        if sentence is not None:
            # Of one tree anybody may present an older checkpoint; a later tree with fewer notices convicts the log.
            self._alarm(log, asked, sentence, proven=checkpoint.size > known)
            return Answer(422, f"{sentence}\n")
        return self._cosign(log, asked, checkpoint)

    def _cosign(self, log: VerifierKey, asked: AddCheckpoint, checkpoint: Checkpoint) -> Answer:
        line = self.key.cosign(checkpoint.text(), int(self._now_s())).line()
        self.memory.keep_checkpoint(log.name, f"{asked.note.decode()}{line}")
        if self.memory.withdraw_suspicion(log.name):
            _log.warning("%s went on from what was cosigned: the suspicion against it is withdrawn", log.name)
        return Answer(200, line)

    def _alarm(self, log: VerifierKey, asked: AddCheckpoint, sentence: str, *, proven: bool = False) -> None:
        kept = self.memory.checkpoint(log.name) or b""
        alarm = Alarm(
            origin=log.name,
            proven=proven,
            sentence=f"{log.name}: {sentence}",
            at_s=int(self._now_s()),
            seen=asked.note.decode(),
            kept=kept.decode(),
        )
        self.memory.raise_alarm(alarm)
        _log.error("ALARM %s; the evidence is in %s", alarm.sentence, self.memory.alarm_file(log.name))


def _notices_fault(last: Checkpoint | None, checkpoint: Checkpoint) -> str | None:
    """Return what is wrong with the notices that a checkpoint names, after those that were cosigned last."""
    before = signed_head(last) if last is not None else None
    if before is None:
        return None
    now = signed_head(checkpoint)
    if now is None or now.count < before.count:
        count = now.count if now is not None else "none"
        notices = counted(before.count, "notice was", "notices were")
        return f"{notices} cosigned, it presents {count}: notices were taken away"
    if now.count == before.count and now.mac != before.mac:
        return f"it signed two different histories of {counted(before.count, 'notice')}"
    return None


def _check_growth(last: Checkpoint | None, asked: AddCheckpoint, checkpoint: Checkpoint) -> None:
    """Raise ProofError unless `checkpoint` goes on from what was cosigned last."""
    if last is None or last.size == 0:
        if asked.proof:
            raise ProofError("from an empty tree no proof is needed, but there is one")
        return
    verify_consistency(last.size, checkpoint.size, asked.proof, last.root, checkpoint.root)
