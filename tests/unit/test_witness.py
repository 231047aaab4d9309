"""The witness: what it cosigns, what it answers otherwise, and when it raises an alarm (c2sp.org/tlog-witness)."""

import base64
from pathlib import Path
from typing import Final

import pytest

from services.bus.config import ConfigError, ServiceConfig
from services.ledger.archiver import Archiver
from services.ledger.checkpoint import Checkpoint, sign_checkpoint
from services.ledger.faults import LedgerError
from services.ledger.log_key import ensure_witness_key
from services.ledger.merkle import consistency_proof, leaf_hash, root
from services.ledger.note import COSIGNATURE, NoteError, SigningKey, VerifierKey, cosigned_at_s, open_note
from services.ledger.notice_chain import NoticeHead
from services.ledger.trim import TrimPolicy
from services.ledger.witness.look import check_memory
from services.ledger.witness.memory import WitnessMemory
from services.ledger.witness.request import PROOF_LINES_MAX, encode_request, parse_request
from services.ledger.witness.witness import SIZE_TYPE, Answer, Witness

ORIGIN: Final = "log.example.com/groupbuy/main"
LOG: Final = SigningKey(ORIGIN, bytes(range(32)))
STRANGER: Final = SigningKey(ORIGIN, bytes(32))
NOW_S: Final = 1_795_000_000
LEAVES: Final = [leaf_hash(str(number).encode()) for number in range(40)]
OTHER_LEAVES: Final = [*LEAVES[:5], *(leaf_hash(f"forged {number}".encode()) for number in range(35))]


def note(size: int, leaves: list[bytes] = LEAVES, key: SigningKey = LOG) -> str:
    """The log's checkpoint of its first leaves."""
    return sign_checkpoint(key, Checkpoint(ORIGIN, size, root(leaves[:size])))


def asked(old: int, size: int, leaves: list[bytes] = LEAVES, key: SigningKey = LOG) -> bytes:
    """An honest request: from `old` leaves to `size`."""
    proof = consistency_proof(old, leaves[:size]) if 0 < old < size else []
    return encode_request(old, proof, note(size, leaves, key))


def witness(directory: Path) -> Witness:
    """A witness of the log, as it starts over its directory."""
    key = ensure_witness_key(directory / "witness.key", "witness.example.com/w1")
    return Witness(key, [LOG.verifier], WitnessMemory(directory), now_s=lambda: NOW_S + 0.9)


@pytest.fixture
def w(tmp_path: Path) -> Witness:
    return witness(tmp_path)


def test_a_first_checkpoint_is_cosigned_with_the_time(w: Witness) -> None:
    answer = w.add_checkpoint(asked(0, 7))
    assert answer.status == 200
    assert answer.text.startswith("— witness.example.com/w1 ") and answer.text.endswith("\n")
    opened = open_note((note(7) + answer.text).encode(), [w.key.verifier])
    assert cosigned_at_s(opened.signatures[0].signature) == NOW_S


def test_the_signed_message_is_the_one_of_the_specification(w: Witness) -> None:
    line = w.add_checkpoint(asked(0, 7)).text
    raw = base64.b64decode(line.split(" ")[2])
    assert raw[:4] == w.key.verifier.key_id
    text = note(7).partition("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {NOW_S}\n{text}"
    plain = VerifierKey(w.key.name, w.key.verifier.public_key)
    plain.verify(message, raw[12:])
    assert int.from_bytes(raw[4:12], "big") == NOW_S


def test_the_example_cosignature_of_the_specification_has_the_key_id_of_type_4() -> None:
    body = base64.b64decode(
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    )
    assert cosigned_at_s(body[4:]) == 1_679_315_147


def test_each_next_checkpoint_is_cosigned_when_the_proof_holds(w: Witness) -> None:
    for old, size in ((0, 1), (1, 3), (3, 3), (3, 16), (16, 40)):
        assert w.add_checkpoint(asked(old, size)).status == 200, (old, size)
    last = w.last(LOG.verifier)
    assert last is not None and last.size == 40
    assert w.alarms() == []


def test_what_was_cosigned_is_remembered_over_a_restart(w: Witness, tmp_path: Path) -> None:
    w.add_checkpoint(asked(0, 9))
    again = witness(tmp_path)
    assert again.add_checkpoint(asked(0, 12)) == Answer(409, "9\n", SIZE_TYPE)
    assert again.add_checkpoint(asked(9, 12)).status == 200
    assert again.key.verifier == w.key.verifier


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        b"new 1\n\n" + note(3).encode(),
        b"old 01\n\n" + note(3).encode(),
        b"old -1\n\n" + note(3).encode(),
        b"old 1\nnot base64\n\n" + note(3).encode(),
        b"old 1\n" + b"AAAA\n" + b"\n" + note(3).encode(),
        b"old 0\n\nno checkpoint\n",
        b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * (PROOF_LINES_MAX + 1) + b"\n" + note(3).encode(),
        b"old 0\n\xff\n\n" + note(3).encode(),
        b"x" * 300_000,
    ],
)
def test_what_has_not_the_form_is_a_bad_request(w: Witness, body: bytes) -> None:
    assert w.add_checkpoint(body).status == 400
    assert w.last(LOG.verifier) is None


def test_an_old_size_above_the_checkpoints_is_a_bad_request(w: Witness) -> None:
    assert w.add_checkpoint(encode_request(8, [], note(7))).status == 400


def test_a_log_that_is_not_witnessed_is_not_found(w: Witness) -> None:
    other = SigningKey("other.example.com/log", bytes(32))
    body = encode_request(0, [], sign_checkpoint(other, Checkpoint(other.name, 1, bytes(32))))
    assert w.add_checkpoint(body).status == 404


def test_a_checkpoint_that_the_logs_key_has_not_signed_is_forbidden(w: Witness) -> None:
    assert w.add_checkpoint(asked(0, 7, key=STRANGER)).status == 403
    forged = asked(0, 7).replace(b"\n7\n", b"\n8\n")
    assert w.add_checkpoint(forged).status == 403
    assert w.alarms() == []


def test_a_wrong_old_size_conflicts_and_is_told_the_right_one(w: Witness) -> None:
    w.add_checkpoint(asked(0, 7))
    assert w.add_checkpoint(asked(5, 9)) == Answer(409, "7\n", SIZE_TYPE)
    assert w.alarms() == []


def test_a_proof_that_does_not_hold_is_unprocessable_and_raises_a_suspicion(w: Witness, tmp_path: Path) -> None:
    w.add_checkpoint(asked(0, 7))
    assert w.add_checkpoint(asked(7, 20, OTHER_LEAVES)).status == 422
    (alarm,) = witness(tmp_path).alarms()
    assert not alarm.proven and "may have forked" in alarm.sentence
    last = w.last(LOG.verifier)
    assert last is not None and last.size == 7


def test_a_suspicion_is_withdrawn_when_the_log_goes_on(w: Witness) -> None:
    w.add_checkpoint(asked(0, 7))
    w.add_checkpoint(encode_request(7, [bytes(32)], note(20)))
    assert len(w.alarms()) == 1
    assert w.add_checkpoint(asked(7, 20)).status == 200
    assert w.alarms() == []


def test_two_trees_of_one_size_are_a_proven_fork_for_ever(w: Witness, tmp_path: Path) -> None:
    w.add_checkpoint(asked(0, 20))
    answer = w.add_checkpoint(asked(20, 20, OTHER_LEAVES))
    assert answer == Answer(409, "20\n", SIZE_TYPE)
    w.add_checkpoint(asked(20, 30))
    (alarm,) = witness(tmp_path).alarms()
    assert alarm.proven and "forked" in alarm.sentence
    assert open_note(alarm.seen.encode(), [LOG.verifier]).text != open_note(alarm.kept.encode(), [LOG.verifier]).text


def test_a_log_that_shrank_raises_an_alarm(w: Witness) -> None:
    w.add_checkpoint(asked(0, 20))
    assert w.add_checkpoint(asked(0, 12)) == Answer(409, "20\n", SIZE_TYPE)
    (report,) = check_memory(w)
    assert not report.sound and "shrunk" in report.sentence


def test_a_damaged_memory_is_never_taken_for_an_empty_one(w: Witness, tmp_path: Path) -> None:
    w.add_checkpoint(asked(0, 20))
    (file,) = tmp_path.glob("*.checkpoint")
    file.write_bytes(file.read_bytes().replace(b"\n20\n", b"\n02\n"))
    with pytest.raises(LedgerError, match="damaged"):
        w.add_checkpoint(asked(0, 20))


def test_a_witness_keeps_its_name_and_its_key_is_its_own(w: Witness, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="keeps its name"):
        ensure_witness_key(tmp_path / "witness.key", "another.example.com")
    assert (tmp_path / "witness.key").stat().st_mode & 0o077 == 0
    assert VerifierKey.parse(w.key.verifier.text(), COSIGNATURE) == w.key.verifier
    with pytest.raises(NoteError, match="no Ed25519 key of notes"):
        VerifierKey.parse(w.key.verifier.text())


def test_a_request_is_read_as_it_was_written() -> None:
    proof = consistency_proof(5, LEAVES)
    found = parse_request(encode_request(5, proof, note(40)))
    assert (found.old_size, list(found.proof), found.note.decode()) == (5, proof, note(40))


def test_a_ledger_that_is_told_of_a_witness_with_a_key_that_is_none_does_not_start(tmp_path: Path) -> None:
    told = {"service": "ledger", "market": "main", "nats_url": "", "user": "ledger", "data_dir": tmp_path}
    config = ServiceConfig(**told, witnesses={"http://127.0.0.1:1": LOG.verifier.text()})
    with pytest.raises(ConfigError, match="the key of the witness at http:"):
        Archiver(None, config, TrimPolicy())  # type: ignore[arg-type]


def with_notices(size: int, count: int, mac: bytes) -> str:
    """A checkpoint that names a chain of notices."""
    line = NoticeHead(count, mac).line()
    return sign_checkpoint(LOG, Checkpoint(ORIGIN, size, root(LEAVES[:size]), (line,)))


@pytest.mark.parametrize(
    ("size", "count", "mac", "proven"),
    [(9, 4, 1, True), (9, 5, 2, True), (7, 4, 1, False)],
)
def test_a_log_whose_notices_were_taken_away_or_are_others_raises_an_alarm(
    w: Witness, size: int, count: int, mac: int, proven: bool
) -> None:
    assert w.add_checkpoint(encode_request(0, [], with_notices(7, 5, bytes([1]) * 32))).status == 200
    proof = consistency_proof(7, LEAVES[:size]) if size > 7 else []
    answer = w.add_checkpoint(encode_request(7, proof, with_notices(size, count, bytes([mac]) * 32)))
    (alarm,) = w.alarms()
    assert answer.status == 422
    assert alarm.proven is proven and "notices" in alarm.sentence


def test_a_log_whose_notices_grow_is_cosigned(w: Witness) -> None:
    for old, size, count in ((0, 7, 5), (7, 7, 6), (7, 9, 9)):
        proof = consistency_proof(old, LEAVES[:size]) if 0 < old < size else []
        assert (
            w.add_checkpoint(encode_request(old, proof, with_notices(size, count, bytes([count]) * 32))).status == 200
        )
    assert w.alarms() == []
