"""The `eventsourcing` application under the ledger: records in, stored events out, nothing encoded twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    Mapper,
    StoredEvent,
    Tracking,
)
from eventsourcing.utils import Environment, EnvType

from services.bus.config import SQLITE_URL
from services.ledger.faults import BadQuestion, LedgerError
from services.ledger.postgres_recorder import LedgerPostgresFactory
from services.ledger.recorders import IndexChange, LedgerRecorder
from services.ledger.sqlite_recorder import LedgerSQLiteFactory

TOPIC: Final = "groupbuy.record.v1"
"""What kind of event is stored; part of the archive, so it names no class and never changes."""
POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class RecordArchived:
    """A record of the journal has been archived, exactly as it was published."""

    originator_id: UUID
    originator_version: int
    body: bytes


class RecordMapper(Mapper[UUID]):
    """Stores the bytes of a record as they are; the library's mappers would encode, and skip upcasting."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return the stored event of a record."""
        assert isinstance(domain_event, RecordArchived), "the ledger stores records and nothing else"
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, TOPIC, domain_event.body)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the record of a stored event."""
        assert isinstance(stored_event.originator_id, UUID), "originators are UUIDs"
        if stored_event.topic != TOPIC:
            raise LedgerError(f"a stored event of topic {stored_event.topic[:40]!r}: expected {TOPIC!r}")
        return RecordArchived(stored_event.originator_id, stored_event.originator_version, bytes(stored_event.state))


class LedgerApplication(Application[UUID]):
    """Archives records with tracking and index in one transaction."""

    name = "ledger"

    def __init__(self, factory: InfrastructureFactory[Any]) -> None:
        self._own_factory = factory
        super().__init__()

    @classmethod
    def open(cls, url: str, market: str, file: Path, *, read_only: bool) -> Self:
        """Open the database that `url` names: `sqlite:` is `file`. Raises LedgerError when it cannot be used."""
        return cls(_factory(url, market, file, read_only=read_only))

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Return no settings: the library would take any of the process's environment, a cipher for instance."""
        return Environment(name, env)

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        """Return the factory for the ledger's database."""
        assert not env, "every setting comes with the factory"
        return self._own_factory

    def construct_mapper(self) -> Mapper[UUID]:
        """Return the mapper that keeps bytes."""
        return RecordMapper(self.construct_transcoder())

    def construct_recorder(self) -> ApplicationRecorder:
        """Return a recorder that tracks what it has processed."""
        return self.factory.process_recorder()

    @property
    def recorder_in_use(self) -> LedgerRecorder:
        """The recorder, with what the ledger adds to it."""
        assert isinstance(self.recorder, LedgerRecorder), "both factories make recorders of the ledger"
        return self.recorder

    def archive(self, records: Sequence[RecordArchived], tracking: Tracking, index: IndexChange) -> None:
        """Store records, tracking and index, all or nothing."""
        self.events.put(records, tracking=tracking, index=index)

    def originator_key(self, originator: UUID) -> UUID | str:
        """Return an originator as the database's own type for it."""
        return originator.hex if isinstance(self._own_factory, LedgerSQLiteFactory) else originator

    def close(self) -> None:
        """Close the connections."""
        super().close()


def _factory(url: str, market: str, file: Path, *, read_only: bool) -> InfrastructureFactory[Any]:
    if url == SQLITE_URL:
        if read_only and not file.is_file():
            raise LedgerError(
                f"there is no ledger at {file}: start the stack once with this data directory, or name another "
                "with --data or another market with --market"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        return LedgerSQLiteFactory(file, read_only=read_only)
    if url.startswith(POSTGRES_SCHEMES):
        return LedgerPostgresFactory(url, market, read_only=read_only)
    raise BadQuestion(f"ledger_url {url[:40]!r}: expected {SQLITE_URL!r} or postgresql://user@host/database")
