"""The mark: how far the journal is known to have come, whatever becomes of process, disk and journal."""

from pathlib import Path

import pytest

from events.record import Through
from services.matcher.high_water import HighWater, Mark
from services.matcher.log import Standing

JOURNAL = "journal-1"


def standing(seq: int) -> Standing:
    """Where a matcher stands after record `seq`."""
    through = Through(seq=seq + 10, at=1, hash="cd" * 32, events=1)
    return Standing(seq=seq, hash="ab" * 32, intake="intake-1", through=through)


def test_the_last_mark_is_read_by_the_next_process(tmp_path: Path) -> None:
    high_water = HighWater(tmp_path / "matcher", "main")
    for seq in (9, 10_000_000, 11):
        high_water.note(JOURNAL, standing(seq))
    found = HighWater(tmp_path / "matcher", "main").read()
    assert found == Mark(journal=JOURNAL, seq=11, hash="ab" * 32, through_seq=21)


def test_before_the_first_record_there_is_no_mark(tmp_path: Path) -> None:
    high_water = HighWater(tmp_path, "main")
    high_water.note(JOURNAL, Standing())
    assert high_water.read() is None


def test_markets_do_not_take_each_others_marks(tmp_path: Path) -> None:
    HighWater(tmp_path, "main").note(JOURNAL, standing(3))
    assert HighWater(tmp_path, "main-2").read() is None


@pytest.mark.parametrize("place", range(0, 150, 7))
def test_a_damaged_mark_is_no_mark(tmp_path: Path, place: int) -> None:
    high_water = HighWater(tmp_path, "main")
    high_water.note(JOURNAL, standing(3))
    content = bytearray(high_water.file.read_bytes())
    content[place] ^= 1
    high_water.file.write_bytes(content)
    assert high_water.read() is None


def test_a_disk_that_does_not_take_the_mark_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "matcher").write_text("a file where the folder should be")
    high_water = HighWater(tmp_path / "matcher", "main")
    high_water.note(JOURNAL, standing(3))
    assert high_water.read() is None
