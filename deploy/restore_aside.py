"""What services keep of records that are lost, put aside before they start over a restored journal.

A snapshot, a mark or an outbox of a record that the journal holds no more would keep its service from starting, and
rightly so: only whoever restores knows that the record is lost for good.
"""

from pathlib import Path

from events.counted import counted
from services.bus.journal_chain import JournalPosition
from services.ledger.chain import Tip
from services.ledger.store import LedgerStore
from services.matcher.high_water import HighWater
from services.matcher.snapshots import SnapshotStore
from services.notifier.dispatch.mark import OutboxMark


class PutAside:
    """Looks through a data folder and those of other copies, and sets aside what is of another history."""

    def __init__(self, store: LedgerStore, tip: Tip, data: Path) -> None:
        self._store = store
        self._tip = tip
        self._market = store.market
        self._folders = [data, *sorted(data.glob("copies/*"))]
        self.snapshots: list[str] = []
        self.outbox: str | None = None
        self.missing: list[str] = []
        """What is lost by it, a sentence each."""

    def run(self) -> None:
        """Set aside all that knows of records which are not archived."""
        for folder in self._folders:
            self._set_mark_aside(HighWater(folder / "matcher", self._market))
            self._set_snapshots_aside(folder / "matcher")
        self._set_outbox_aside(self._folders[0])

    def _set_mark_aside(self, high_water: HighWater) -> None:
        mark = high_water.read()
        if mark is None:
            return
        if mark.journal == self._store.identity and self._is_archived(JournalPosition(mark.seq, mark.hash)):
            return
        high_water.set_aside()
        if mark.seq > self._tip.seq:
            self._note_lost_records(mark.seq, mark.through_seq)

    def _set_snapshots_aside(self, folder: Path) -> None:
        for snapshot in SnapshotStore(folder, self._market).load(self._store.identity):
            if snapshot.standing.seq <= self._tip.seq:
                continue
            self._note_lost_records(snapshot.standing.seq, snapshot.standing.through_seq)
            path = folder / f"{self._market}-{snapshot.standing.seq:020d}.snapshot"
            path.rename(path.with_suffix(".set-aside"))
            self.snapshots.append(path.with_suffix(".set-aside").name)

    def _set_outbox_aside(self, folder: Path) -> None:
        """What an outbox knows of members may be of lost records, so none of it is used again."""
        known = OutboxMark.of(folder, self._market)
        if known is None or all(map(self._is_archived, known.positions)):
            return
        self.missing.append(
            f"{counted(known.waiting, 'message')} by other channels, which waited in the notifier's outbox; what it "
            "had taken in of lost records may be told again"
        )
        self.outbox = known.set_aside()

    def _is_archived(self, position: JournalPosition) -> bool:
        known = self._store.summary(position.seq)
        return position.seq == 0 or (known is not None and known.hash.hex() == position.hash)

    def _note_lost_records(self, last_seq: int, through_seq: int) -> None:
        sentence = (
            f"records {self._tip.seq + 1} to {last_seq}, which the matcher had committed (they covered intake messages "
            f"up to {through_seq})"
        )
        if sentence not in self.missing:
            self.missing.append(sentence)
