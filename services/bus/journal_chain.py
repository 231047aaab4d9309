"""What makes a journal message the next record: pure checks of the chain, with sentences for when it breaks."""

from typing import Final

import msgspec

from events.record import GENESIS, BadRecord, Record, decode_record, hash_bytes


class JournalBroken(Exception):
    """The journal cannot be followed any further; the message says where and what is missing."""


class JournalPosition(msgspec.Struct, frozen=True):
    """The last record that was dealt with: its sequence in the journal stream and its hash.

    Sequence 0 with the hash GENESIS stands before the first record.
    """

    seq: int = 0
    hash: str = GENESIS


START: Final = JournalPosition()


class JournalMessage(msgspec.Struct, frozen=True, gc=False):
    """One message of the journal stream, record or stray; `at_ns` is the broker's timestamp."""

    seq: int
    at_ns: int
    message_id: str | None
    body: bytes


class FollowedRecord(msgspec.Struct, frozen=True):
    """One valid record with its place: sequence, the broker's timestamp in ns, hash, and the exact bytes."""

    seq: int
    at_ns: int
    hash: str
    body: bytes
    record: Record


class JournalChain:
    """The end of the chain so far, onto which each message must fit."""

    def __init__(self, market: str, position: JournalPosition) -> None:
        assert position.seq > 0 or position.hash == GENESIS, "only the start of a journal has no sequence"
        self._market = market
        self.position = position
        self.strays = 0
        self._seen_seq = position.seq

    @property
    def seen_seq(self) -> int:
        """Sequence of the last message looked at, strays included."""
        return self._seen_seq

    def read(self, message: JournalMessage) -> FollowedRecord | None:
        """Return the record in `message`, or None when it is a stray.

        A message whose id is not the SHA-256 of its body was not published by a matcher and is skipped.
        Raises JournalBroken when it is a record that does not follow the one before.
        """
        assert message.seq > self._seen_seq, "messages come in order"
        missing_from, self._seen_seq = self._seen_seq + 1, message.seq
        own_hash = hash_bytes(message.body)
        if message.message_id != own_hash:
            self.strays += 1
            return None
        record = self._decode(message)
        if record.prev != self.position.hash:
            raise JournalBroken(self._break_sentence(record, missing_from, message.seq))
        self.position = JournalPosition(message.seq, own_hash)
        return FollowedRecord(message.seq, message.at_ns, own_hash, message.body, record)

    def _decode(self, message: JournalMessage) -> Record:
        try:
            record = decode_record(message.body)
        except BadRecord as error:
            raise JournalBroken(
                f"journal message {message.seq} of market {self._market} cannot be read: {error}"
            ) from None
        if record.market != self._market:
            raise JournalBroken(
                f"journal message {message.seq} of market {self._market} is a record of market {record.market}"
            )
        return record

    def _break_sentence(self, record: Record, missing_from: int, seq: int) -> str:
        place = f"the journal of market {self._market} is broken before message {seq}: "
        if missing_from < seq:
            return f"{place}messages {missing_from} to {seq - 1} are missing and one of them was a record"
        if self.position.seq == 0:
            return f"{place}it names record {record.prev[:16]} before it, but nothing was read before it"
        sentence = (
            f"{place}it names record {record.prev[:16]} before it, but message {self.position.seq} "
            f"is record {self.position.hash[:16]}"
        )
        if self.position.seq + 1 < seq:
            # A damaged record no longer has the hash that it is known by, and looks like a stray.
            sentence += f"; messages {self.position.seq + 1} to {seq - 1} were skipped as strays, or were damaged"
        return sentence
