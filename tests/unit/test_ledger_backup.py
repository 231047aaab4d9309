"""A copy of the ledger: of one instant, readable like the original, never over something else."""

import json
import sys
from pathlib import Path

import pytest

from deploy.cli.main import main
from services.ledger.acts import acts_file, read_acts, record_act
from services.ledger.backup import back_up
from services.ledger.faults import LedgerError
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.verify import verify
from tests.ledger_market import decided_records
from tests.ledger_records import MARKET, open_store

RECORDS = decided_records(12, 60)
HALF = len(RECORDS) // 2


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose ledger holds half of the records, and one act."""
    directory = tmp_path / "data"
    with open_store(directory) as store:
        store.append(RECORDS[:HALF])
    record_act(acts_file(directory, MARKET), 1, "dossier", "operator-1", {"order": "o1"})
    return directory


def test_a_copy_made_while_the_ledger_writes_holds_one_instant_and_verifies(data: Path, tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    with open_store(data) as store:
        copy = back_up(data, MARKET, tmp_path / "copy", lambda done, total: told.append((done, total)))
        store.append(RECORDS[HALF:])
    assert (copy.records, copy.last_record, copy.last_hash) == (HALF, RECORDS[HALF - 1].seq, RECORDS[HALF - 1].hash)
    assert told[-1][0] == told[-1][1] > 0
    with LedgerStore.open("sqlite:", MARKET, data_dir=tmp_path / "copy", read_only=True) as copied:
        assert verify(copied).is_sound
        assert copied.position == (RECORDS[HALF - 1].seq, RECORDS[HALF - 1].hash)


def test_a_ledger_goes_on_from_its_copy(data: Path, tmp_path: Path) -> None:
    back_up(data, MARKET, tmp_path / "copy", lambda *_: None)
    with open_store(tmp_path / "copy") as store:
        store.append(RECORDS[HALF:])
        assert store.position == (RECORDS[-1].seq, RECORDS[-1].hash)


def test_acts_are_copied_up_to_the_last_whole_line(data: Path, tmp_path: Path) -> None:
    with acts_file(data, MARKET).open("ab") as file:
        file.write(b'{"no":2,"at":"half a li')
    assert back_up(data, MARKET, tmp_path / "copy", lambda *_: None).acts == 1
    assert [act.actor for act in read_acts(acts_file(tmp_path / "copy", MARKET))] == ["operator-1"]


def test_a_copy_is_for_its_owner_only(data: Path, tmp_path: Path) -> None:
    back_up(data, MARKET, tmp_path / "copy", lambda *_: None)
    assert ledger_file(tmp_path / "copy", MARKET).stat().st_mode & 0o077 == 0
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0


def test_a_copy_is_never_written_over_something(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "copy" / "kept"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(LedgerError, match="never written over another"):
        back_up(data, MARKET, tmp_path / "copy", lambda *_: None)
    assert [path.name for path in kept.parent.iterdir()] == ["kept"]


def test_of_a_damaged_file_nothing_is_left_as_a_copy(data: Path, tmp_path: Path) -> None:
    ledger_file(data, MARKET).write_bytes(b"this is no database" * 100)
    with pytest.raises(LedgerError, match="was not copied"):
        back_up(data, MARKET, tmp_path / "copy", lambda *_: None)
    assert not (tmp_path / "copy").exists()


def main_ends(status: int) -> None:
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status


def test_the_command_says_what_is_in_the_copy(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["groupbuy", "ledger", "backup", "--data", str(data), "--market", MARKET]
    monkeypatch.setattr(sys, "argv", [*arguments, "--out", str(tmp_path / "copy"), "--json"])
    main_ends(0)
    assert json.loads(capsys.readouterr().out)["records"] == HALF
    main_ends(2)
    assert "exists" in capsys.readouterr().err
