"""A test double of the matcher: writes valid records to a real journal."""

import msgspec
from nats.aio.client import Client

from events import decisions as d
from events import subjects
from events.record import GENESIS, RECORD_FORMAT, Entry, Record, Through, encode_entry, encode_record, hash_bytes

MARKET = "main"
AT_NS = 1_790_000_000_000_000_000


def ticked(seq: int, index: int = 0) -> Entry:
    """An entry of the clock: the smallest there is."""
    return Entry(seq=seq, index=index, part=0, at=AT_NS + seq, publisher="matcher", decisions=[d.ClockAdvanced()])


def record_of(entries: list[Entry], prev: str, market: str = MARKET) -> bytes:
    """The bytes of a record with these entries."""
    last = entries[-1]
    through = Through(seq=last.seq, events=last.index + 1, at=last.at, hash="0" * 64)
    raws = [encode_entry(entry) for entry in entries]
    return encode_record(
        Record(
            v=RECORD_FORMAT,
            market=market,
            prev=prev,
            intake="intake-of-a-test",
            rule=1,
            through=through,
            entries=list(map(msgspec_raw, raws)),
        )
    )


def msgspec_raw(body: bytes) -> msgspec.Raw:
    """Bytes that are JSON already."""
    return msgspec.Raw(body)


class JournalWriter:
    """Appends records to the journal as the user of `client`, who must be the matcher."""

    def __init__(self, client: Client, market: str = MARKET) -> None:
        self.client = client
        self.market = market
        self.prev = GENESIS
        self.written: list[str] = []
        self.next_entry_seq = 1

    async def append(self, entries: list[Entry] | None = None, padding_bytes: int = 0) -> int:
        """Write one record and return its sequence."""
        if entries is None:
            entries = [ticked(self.next_entry_seq)]
            self.next_entry_seq += 1
        body = record_of(entries, self.prev, self.market)
        if padding_bytes:
            body = body[:-1] + b" " * padding_bytes + body[-1:]
        return await self.append_body(body)

    async def append_body(self, body: bytes) -> int:
        """Write bytes as a record is written and return their sequence."""
        own_hash = hash_bytes(body)
        seq = await self.publish(body, {subjects.HEADER_MESSAGE_ID: own_hash})
        self.prev = own_hash
        self.written.append(own_hash)
        return seq

    async def publish(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        """Publish anything on the journal's subject and return its sequence."""
        ack = await self.client.jetstream(timeout=10).publish(subjects.journal(self.market), body, headers=headers)
        return ack.seq
