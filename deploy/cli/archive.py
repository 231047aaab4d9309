"""Reading what the ledger has archived: every figure that a command prints comes from here."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.cli.output import CommandError
from deploy.logs import last_line
from deploy.permissions import LEDGER
from deploy.stack_files import logs_directory
from events.decisions import Closing
from events.play_decisions import PlayClosed, PlayWon
from events.record import Entry, Record, decode_entry, decode_record
from services.ledger.faults import LedgerError
from services.ledger.store import LedgerStore

POLL_S: Final = 0.1
STALLED_AFTER_S: Final = 60.0


@contextmanager
def archive(data: Path, market: str) -> Iterator[LedgerStore]:
    """Open the ledger of a market for reading. Raises CommandError when there is none."""
    try:
        store = LedgerStore.open("sqlite:", market, data_dir=data, read_only=True)
    except LedgerError as error:
        raise CommandError(str(error)) from None
    with store:
        yield store


def archived_entries(store: LedgerStore) -> Iterator[Entry]:
    """Yield every archived entry in order."""
    for stored in store.records():
        for raw in decode_record(stored.body).entries:
            yield decode_entry(raw)


async def wait_until_archived(
    data: Path, market: str, intake_seq: int, tell: Callable[[int], None] = lambda _: None
) -> None:
    """Return when the ledger holds everything that the intake up to `intake_seq` brought about.

    `tell` is called with the intake sequence that the archive reaches. Raises CommandError when it stands still
    for a minute.
    """
    reached, moved_at_s = -1, time.monotonic()
    while True:
        seq, complete = await asyncio.to_thread(_reached, data, market)
        if seq > reached:
            reached, moved_at_s = seq, time.monotonic()
            tell(seq)
        if seq > intake_seq or (seq == intake_seq and complete):
            return
        if time.monotonic() - moved_at_s > STALLED_AFTER_S:
            raise CommandError(
                f"the ledger of {market} stands at message {seq} of {intake_seq} for {STALLED_AFTER_S:.0f} s; "
                f"the end of its log: {last_line(logs_directory(data) / f'{LEDGER}.log')}"
            )
        await asyncio.sleep(POLL_S)


def _reached(data: Path, market: str) -> tuple[int, bool]:
    """Return the intake sequence that the archive reaches, and whether all that it caused is there."""
    try:
        with archive(data, market) as store:
            return _reached_in(store)
    except CommandError:
        # Before the first record there is no ledger.
        return 0, False


def _reached_in(store: LedgerStore) -> tuple[int, bool]:
    seq, _ = store.position
    stored = store.record(seq)
    if stored is None:
        return 0, False
    earlier = store.query("SELECT max(record) FROM @records WHERE record < ?", (seq,))[0][0]
    before = None if earlier is None else store.record(earlier)
    last = decode_record(stored.body)
    return last.through.seq, is_complete(last, None if before is None else decode_record(before.body))


def is_complete(record: Record, before: Record | None) -> bool:
    """Tell whether a record ends with the last entry that its last message caused.

    A record may split a batch; timers may be due before its last event, and the entry that closes a large group be
    followed by more pages of its seats, that of a lottery by its draws.
    """
    through = record.through
    final = decode_entry(record.entries[-1])
    closings = [decision for decision in final.decisions if isinstance(decision, Closing)]
    if any(closing.page < closing.pages for closing in closings) or _is_drawing(final):
        return False
    nearby = [*(before.entries if before is not None else ()), *record.entries]
    for entry in map(decode_entry, reversed(nearby)):
        if (entry.seq, entry.index) != (through.seq, through.events - 1):
            return False
        if entry.publisher is not None:
            return True
    return False


def _is_drawing(final: Entry) -> bool:
    """Tell whether draws follow an entry: it closes a lottery, or draws prizes and not the last."""
    drawn = [won for won in final.decisions if isinstance(won, PlayWon) and won.draw is not None]
    if drawn:
        return drawn[-1].draw != drawn[-1].draws
    return any(isinstance(closed, PlayClosed) and closed.winners for closed in final.decisions)
