"""Snapshots: whole or not used."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from events.compiled import ROOT
from services.matcher.log import Standing
from services.matcher.snapshots import KEPT, STATE_SCHEMA, Snapshot, SnapshotStore


def snapshot(seq: int, journal: str = "journal-1", schema: int = STATE_SCHEMA) -> Snapshot:
    standing = Standing(seq=seq, hash=f"{seq:064x}", intake="intake-1")
    return Snapshot(schema=schema, market="main", journal=journal, standing=standing, state=b"state %d" % seq)


def seqs(store: SnapshotStore, journal: str = "journal-1") -> list[int]:
    return [found.standing.seq for found in store.load(journal)]


def test_the_newest_comes_first_and_older_ones_are_dropped(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "main")
    for seq in (5, 90, 1_000):
        store.save(snapshot(seq))
    assert seqs(store) == [1_000, 90]
    assert len(list(tmp_path.iterdir())) == KEPT


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "main")
    store.save(snapshot(3))
    assert store.load("journal-1") == [snapshot(3)]


@pytest.mark.parametrize("place", [0, 20, 60, -1])
def test_a_flipped_bit_anywhere_makes_a_snapshot_unused(tmp_path: Path, place: int) -> None:
    store = SnapshotStore(tmp_path, "main")
    store.save(snapshot(3))
    file = next(tmp_path.iterdir())
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    assert store.load("journal-1") == []


def test_a_truncated_or_empty_snapshot_is_unused_and_the_one_before_serves(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "main")
    store.save(snapshot(3))
    store.save(snapshot(4))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-5])
    assert seqs(store) == [3]
    newest.write_bytes(b"")
    assert seqs(store) == [3]


def test_snapshots_of_another_journal_market_or_schema_are_not_used(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "main")
    store.save(snapshot(3, journal="journal-2"))
    store.save(snapshot(4, schema=STATE_SCHEMA + 1))
    assert seqs(store) == []
    assert SnapshotStore(tmp_path, "other").load("journal-2") == []


def test_an_unknown_form_is_not_used(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "main")
    store.save(snapshot(3))
    file = next(tmp_path.iterdir())
    body = msgspec.msgpack.encode({"schema": "one"})
    file.write_bytes(b"groupbuy-snapshot\n" + hashlib.sha256(body).digest() + body)
    assert store.load("journal-1") == []


def test_a_market_never_drops_the_snapshots_of_one_whose_name_begins_alike(tmp_path: Path) -> None:
    other = SnapshotStore(tmp_path, "main-2")
    other.save(msgspec.structs.replace(snapshot(9), market="main-2"))
    store = SnapshotStore(tmp_path, "main")
    for seq in (1, 2, 3):
        store.save(snapshot(seq))
    assert seqs(store) == [3, 2]
    assert [found.standing.seq for found in other.load("journal-1")] == [9]


aside = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="saved aside on Linux only")


@aside
def test_a_snapshot_saved_aside_is_of_the_moment_at_which_it_was_begun(tmp_path: Path) -> None:
    """Whatever the market decides while it is written."""
    store, seq = SnapshotStore(tmp_path, "main"), 3

    def make() -> Snapshot:
        time.sleep(0.2)
        return snapshot(seq)

    saving = store.save_aside(make)
    assert saving is not None
    seq = 4
    assert saving.ended() is None
    assert saving.ended(wait=True) is True
    assert store.load("journal-1") == [snapshot(3)]


@aside
def test_a_snapshot_whose_writing_is_cut_off_is_absent(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "main")
    store.save(snapshot(3))

    def never() -> Snapshot:
        time.sleep(60)
        return snapshot(9)

    saving = store.save_aside(never)
    assert saving is not None
    os.kill(saving.pid, signal.SIGKILL)
    assert saving.ended(wait=True) is False
    assert saving.ended() is False
    assert seqs(store) == [3]


@aside
def test_a_snapshot_that_cannot_be_written_aside_is_said_to_have_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    saving = SnapshotStore(tmp_path / "file", "main").save_aside(lambda: snapshot(3))
    assert saving is not None
    assert saving.ended(wait=True) is False


@aside
def test_whoever_saves_aside_holds_none_of_the_files_of_the_matcher(tmp_path: Path) -> None:
    """A matcher that is killed meanwhile must be able to start again on its port."""
    reading, writing = os.pipe()
    saving = SnapshotStore(tmp_path, "main").save_aside(lambda: time.sleep(60))  # type: ignore[arg-type,return-value]
    assert saving is not None
    os.close(writing)
    # Ends only when nobody else holds the other end.
    assert os.read(reading, 1) == b""
    os.kill(saving.pid, signal.SIGKILL)
    assert saving.ended(wait=True) is False
    os.close(reading)


_SAVES_AND_IS_KILLED = """
import os, signal, sys, time
from pathlib import Path
from services.matcher.snapshots import SnapshotStore
saving = SnapshotStore(Path(sys.argv[1]), "main").save_aside(lambda: time.sleep(60))
print(saving.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@aside
def test_a_snapshot_under_way_ends_with_its_matcher(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SAVES_AND_IS_KILLED, str(tmp_path)]
    # A pipe would be held open, and waited for, by the very process that must end.
    with (tmp_path / "pid").open("w") as told:
        killed = subprocess.run(command, stdout=told, check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):
        if not _runs(pid):
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it went on without its matcher")


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_killed_process_left_of_a_snapshot_goes_with_the_next_one(tmp_path: Path) -> None:
    left, foreign = tmp_path / f"main-{3:020d}.17.tmp", tmp_path / f"main-2-{3:020d}.17.tmp"
    for file in (left, foreign):
        file.write_bytes(b"half")
    SnapshotStore(tmp_path, "main").save(snapshot(4))
    assert not left.exists()
    assert foreign.exists()
