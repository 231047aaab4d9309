"""The archive of a market's journal: every record once, exactly as it was published, with what finds it again.

An `eventsourcing` application with one stored event a record: originator is the journal stream (market and
identity), version is the sequence in it. Strays leave gaps between versions, which is why nothing here counts
them. The application's tracking, the summaries and the index stand in the same transaction.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from eventsourcing.persistence import IntegrityError, PersistenceError, Tracking

from events.counted import counted
from events.leaf import key_commitment
from events.record import GENESIS, hash_bytes
from services.ledger.application import LedgerApplication, RecordArchived
from services.ledger.archive import Archive
from services.ledger.chain import Tip, place_of_record, tip_of
from services.ledger.ends import check_tracking, cut_off, tracking_name
from services.ledger.faults import LedgerBroken, LedgerError, LedgerUnavailable
from services.ledger.leaves import LeafMaker
from services.ledger.meta import check_meta
from services.ledger.notice_chaining import NoticeChain, insert_notices
from services.ledger.preparing import Arrival, prepare
from services.ledger.recorders import IndexChange, Row
from services.ledger.runs import Run
from services.ledger.tree import (
    CHECKPOINT_META,
    COSIGNED_META,
    MARKET_KEY_META,
    GrowingTree,
    check_market_key,
)

INDEX_STEP_RECORDS: Final = 64
DERIVED_TABLES: Final = ("pages", "runs", "records", "tiles")
_ATTEMPTS: Final = 3
_NOTE: Final = "INSERT INTO @meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class _Archived(NamedTuple):
    """A record that is archived already, as it would arrive; when the journal got it is not kept."""

    seq: int
    hash: str
    body: bytes
    at_ns: int = 0


def ledger_file(data_dir: Path, market: str) -> Path:
    """Return the SQLite file of a market's ledger under a stack's data directory."""
    return data_dir / "ledger" / f"ledger-{market}.sqlite"


class LedgerStore(Archive):
    """One market's ledger. Every call blocks; one thread at a time may call `append`."""

    def __init__(self, application: LedgerApplication, market: str, identity: str) -> None:
        super().__init__(application, market, identity)
        self._tip: Tip | None = None
        self._runs: list[Run] = []
        self.tree: GrowingTree | None = None
        self.notices: NoticeChain | None = None
        self._load()

    @classmethod
    def open(
        cls,
        url: str,
        market: str,
        *,
        data_dir: Path,
        identity: str | None = None,
        read_only: bool = False,
        market_key: bytes | None = None,
    ) -> Self:
        """Open the ledger of `market`: `sqlite:` is the file under `data_dir`, else `url` is a PostgreSQL URL.

        `identity` is that of the journal stream; a ledger that is new needs it. Whoever writes with the market's
        key keeps the tree. Raises LedgerError when there is no ledger, or it is that of another market, of another
        journal, or of another key.
        """
        try:
            application = LedgerApplication.open(url, market, ledger_file(data_dir, market), read_only=read_only)
        except PersistenceError as error:
            raise LedgerUnavailable(f"the ledger of market {market} cannot be opened: {error}") from None
        try:
            known = check_meta(application.recorder_in_use, market, identity, read_only=read_only)
            store = cls(application, market, known)
            if not read_only:
                store.build_index()
                check_tracking(store)
                store.keep_tree(market_key)
                store.keep_notices(market_key)
        except PersistenceError as error:
            application.close()
            raise LedgerUnavailable(f"the ledger of market {market} cannot be read: {error}") from None
        except BaseException:
            application.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the database."""
        self._application.close()

    @property
    def tip(self) -> Tip | None:
        """The last record that this process knows to be archived, None while there is none."""
        return self._tip

    @property
    def position(self) -> tuple[int, str]:
        """Sequence and hash of the last record archived; (0, GENESIS) before the first."""
        return (self._tip.seq, self._tip.hash) if self._tip is not None else (0, GENESIS)

    # Writing

    def append(self, arrivals: Sequence[Arrival]) -> int:
        """Archive the records that are not yet archived, all or none, and return how many entries came with them.

        A record that is archived already is compared instead. Raises LedgerBroken when one does not follow the
        one before it or differs from what is archived, LedgerUnavailable when the database does not take them now.
        """
        for _ in range(_ATTEMPTS):
            fresh = self._not_archived(arrivals)
            if not fresh:
                return 0
            assert self.tree is None or self.tree_lag == 0, "the tree is built before anything is archived"
            tip, index, growth = prepare(self, self._tip, self._runs, self.tree, fresh)
            entries = tip.entries - (self._tip.entries if self._tip is not None else 0)
            try:
                self._application.archive(
                    [RecordArchived(self.originator, arrival.seq, arrival.body) for arrival in fresh],
                    Tracking(tracking_name(self.market, self.identity), tip.seq),
                    index,
                )
            except IntegrityError:
                # The commit of an earlier attempt went through although it was answered with an error, or
                # another process archives the same journal. What is stored decides.
                self._load()
                continue
            except PersistenceError as error:
                raise LedgerUnavailable(f"the ledger's database does not take records: {error}") from error
            self._take(tip, index)
            if self.tree is not None and growth is not None:
                self.tree.take(growth)
            return entries
        raise LedgerUnavailable("another process writes to this ledger at the same time: only one may")

    def build_index(self) -> None:
        """Make the end of the index anew from the archive, some records at a time, where it was deleted."""
        while records := list(islice(self.records(self.position[0]), INDEX_STEP_RECORDS)):
            arrivals = [_Archived(record.seq, hash_bytes(record.body), record.body) for record in records]
            tip, index, _ = prepare(self, self._tip, self._runs, self.tree, arrivals)
            try:
                self._application.recorder_in_use.put_index(index)
            except IntegrityError:
                # Another process archived these just now, with their index.
                self._load()
                continue
            self._take(tip, index)

    def drop_derived(self) -> None:
        """Delete everything that follows from the records: index, summaries and tiles."""
        for table in DERIVED_TABLES:
            self._application.recorder_in_use.execute(f"DELETE FROM @{table}", ())  # noqa: S608 - own names
        self._load()

    # The tree

    def keep_tree(self, market_key: bytes | None) -> None:
        """Keep the tree from now on, if there is a key. Raises LedgerError when it is wrong, or missing for a tree."""
        if market_key is None:
            if self.meta(MARKET_KEY_META) is not None:
                raise LedgerError(
                    f"the ledger of market {self.market} has a tree: writing to it takes the market's key"
                )
            return
        is_known = check_market_key(self, market_key)
        tree = GrowingTree(self, LeafMaker(market_key))
        entries = self._tip.entries if self._tip is not None else 0
        if tree.size > entries:
            leaves, archived = counted(tree.size, "leaf", "leaves"), counted(entries, "entry is", "entries are")
            raise LedgerBroken("the tree", f"it has {leaves}, but {archived} archived")
        if not is_known:
            self._note(MARKET_KEY_META, key_commitment(market_key))
        self.tree = tree

    @property
    def tree_lag(self) -> int:
        """How many entries are archived that the tree lacks; nothing can be appended before it is 0."""
        assert self.tree is not None, "a ledger that keeps a tree"
        return (self._tip.entries if self._tip is not None else 0) - self.tree.size

    def build_tree(self) -> int:
        """Add some of the leaves that the tree lacks and return how many it lacks still."""
        assert self.tree is not None, "a ledger that keeps a tree"
        if self.tree_lag > 0:
            self.tree.build()
        return self.tree_lag

    def checkpoint(self) -> str | None:
        """Return the last checkpoint that was signed, None when there is none."""
        return self.meta(CHECKPOINT_META)

    def cosigned(self) -> str | None:
        """Return the last checkpoint that a witness cosigned, None when there is none."""
        return self.meta(COSIGNED_META)

    def save_checkpoint(self, note: str, *, is_cosigned: bool = False) -> None:
        """Keep a checkpoint in place of the one before. Raises LedgerUnavailable when the database does not take it."""
        try:
            self._note(COSIGNED_META if is_cosigned else CHECKPOINT_META, note)
        except PersistenceError as error:
            raise LedgerUnavailable(f"the ledger's database does not take the checkpoint: {error}") from error

    def keep_notices(self, market_key: bytes | None) -> None:
        """Keep the chain over the notices from now on, if there is a key, and chain those that stand in none."""
        if market_key is not None:
            self.notices = NoticeChain(self, market_key, self._write)
            self.notices.begin()

    def put_notices(self, rows: Sequence[Row]) -> None:
        """Archive rows of the notices, all or none. Raises LedgerUnavailable when the database does not take them."""
        if self.notices is not None:
            self.notices.add(rows)
        else:
            self._write([insert_notices([(*row, None, None) for row in rows])], {})

    def _write(self, statements: Sequence[tuple[str, Row]], notes: Mapping[str, str]) -> None:
        noting = [(_NOTE, (name, value)) for name, value in notes.items()]
        try:
            self._application.recorder_in_use.execute_all([*statements, *noting])
        except PersistenceError as error:
            raise LedgerUnavailable(f"the ledger's database does not take it: {error}") from error

    def _note(self, name: str, value: str) -> None:
        self._application.recorder_in_use.execute(_NOTE, (name, value))

    def _not_archived(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        tip_seq, _ = self.position
        fresh = [arrival for arrival in arrivals if arrival.seq > tip_seq]
        for arrival in arrivals[: len(arrivals) - len(fresh)]:
            stored = self.summary(arrival.seq)
            if stored is None or stored.hash.hex() != hash_bytes(arrival.body):
                known = f"record {stored.hash.hex()[:16]}" if stored is not None else "none"
                raise LedgerBroken(
                    place_of_record(arrival.seq),
                    f"the journal gives {arrival.hash[:16]} there, the ledger has archived {known}",
                )
        return fresh

    def _take(self, tip: Tip, index: IndexChange) -> None:
        """Go on from what has been written."""
        self._tip = tip
        self._runs = [run for run in self._runs if run.run not in index.absorbed] + [index.run]

    def _load(self) -> None:
        """Read where the archive stands from the database."""
        self._runs = self.runs()
        last = self.query("SELECT max(record) FROM @records")[0][0]
        self._tip = None if last is None else self._tip_at(last)
        if self.tree is not None:
            self.tree.reload()

    def _tip_at(self, seq: int) -> Tip:
        summary, record = self.summary(seq), self.record(seq)
        if summary is None or record is None:
            raise cut_off(self, seq)
        return tip_of(seq, summary.first_leaf, record.body)
