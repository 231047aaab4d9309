"""What happened in a simulation, read once for all checks: the intake as it was published, the journal as it stands."""

import json
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from events import subjects
from events.decode import Unreadable, split_message
from events.record import GENESIS, Entry, Record, decode_entry, decode_record, hash_bytes
from services.ledger.leaves import LeafMaker
from services.ledger.log_key import log_key_file, read_log_key
from services.ledger.verify_tree import LogKeys
from tests.simulation.streams import Stored, Stream, parse_head

if TYPE_CHECKING:
    from tests.simulation.world import World

MARKET: Final = "main"
KEY: Final = b"k" * 32


class Violation(AssertionError):
    """A promise that did not hold."""


def must(holds: object, otherwise: str) -> None:
    """Raise Violation unless something holds."""
    if not holds:
        raise Violation(otherwise)


class Told(NamedTuple):
    """One decision with the entry that it stands in, and its kind."""

    entry: Entry
    kind: str
    what: Any
    """The decision; its fields depend on the kind."""

    @property
    def name(self) -> str:
        """Return the entry's name."""
        return f"{self.entry.seq}.{self.entry.index}.{self.entry.part}"


class History:
    """Everything that was published and everything that was decided."""

    def __init__(self, world: "World") -> None:
        """Read the streams. Raises Violation where the journal is no chain."""
        self.world = world
        self.messages = [one for one in stream(world, subjects.journal_stream(MARKET)).messages if is_record(one)]
        self.records: list[Record] = []
        prev = GENESIS
        for message in self.messages:
            record = decode_record(message.body)
            must(record.prev == prev, f"record {message.seq} follows {record.prev[:12]}, not {prev[:12]}")
            prev = hash_bytes(message.body)
            self.records.append(record)
        self.raws = [bytes(raw) for record in self.records for raw in record.entries]
        self.decoded = [[decode_entry(bytes(raw)) for raw in record.entries] for record in self.records]
        """Entries by record."""
        self.entries = [entry for entries in self.decoded for entry in entries]

    @cached_property
    def decisions(self) -> list[Told]:
        """Every decision, in order."""
        return [
            Told(entry, decision.__struct_config__.tag, decision)
            for entry in self.entries
            for decision in entry.decisions
        ]

    @cached_property
    def events(self) -> dict[tuple[int, int, int], dict[str, Any]]:
        """The event of every entry that keeps one, as a document, by the entry's position."""
        return {
            (entry.seq, entry.index, entry.part): json.loads(bytes(entry.event))
            for entry in self.entries
            if entry.event is not None
        }

    def event_of(self, entry: Entry) -> dict[str, Any] | None:
        """Return the event that an entry answers, None for timer work and what is not kept."""
        return self.events.get((entry.seq, entry.index, entry.part))

    @cached_property
    def inputs(self) -> dict[tuple[int, int], bytes | None]:
        """Every input as it was published, by (sequence, index); None where it can be read by nobody."""
        return dict(self._inputs())

    def _inputs(self) -> Iterator[tuple[tuple[int, int], bytes | None]]:
        for message in stream(self.world, subjects.intake_stream(MARKET)).history:
            try:
                for index, raw in enumerate(split_message(message.body)):
                    yield (message.seq, index), bytes(raw)
            except Unreadable:
                yield (message.seq, 0), None


def is_record(message: Stored) -> bool:
    """Tell whether a message of the journal is a record and not a stray."""
    return parse_head(message.head).get("Nats-Msg-Id") == hash_bytes(message.body) if message.head else False


def stream(world: "World", name: str) -> Stream:
    """Return a stream of the broker."""
    return world.broker.store.streams[name]


def log_keys(world: "World") -> LogKeys:
    """Return what it takes to verify the ledger's tree and its signature."""
    return LogKeys(LeafMaker(KEY), read_log_key(log_key_file(world.folder / "ledger", MARKET)).verifier)
