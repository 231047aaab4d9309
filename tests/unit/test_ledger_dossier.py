"""Dossiers: what is opened for whom, what they prove, and that no changed one passes."""

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from deploy.cli.main import main
from events.decisions import SeatHeld
from events.play_decisions import AssistHeld
from events.record import Entry, encode_entry
from services.ledger.acts import acts_file, read_acts
from services.ledger.checkpoint import Checkpoint, sign_checkpoint
from services.ledger.dossier import contents as c
from services.ledger.dossier.check import verify_dossier
from services.ledger.dossier.contents import Audience
from services.ledger.dossier.opening import Reader, parts_for
from services.ledger.dossier.plainzip import BadZip, build_zip, read_zip
from services.ledger.faults import LedgerBroken
from services.ledger.history import FoundEntry
from services.ledger.note import COSIGNATURE, SigningKey
from tests.builders import (
    T0,
    encode,
    posted,
)
from tests.dossier_tampering import TAMPERINGS, disputed_ledger, foreign_zips, made, resealed_dossiers
from tests.ledger_records import MARKET, open_store
from tests.model.both import MARKET_KEY

Run = Callable[..., tuple[int, str, str]]
WITNESS: Final = SigningKey("witness.example.com/w1", bytes(range(32)), COSIGNATURE)


@pytest.fixture
def log_key(tmp_path: Path) -> SigningKey:
    """The key of a ledger over `tmp_path`."""
    return disputed_ledger(tmp_path)


# What is in it


def test_a_dossier_proves_itself_with_nothing_but_the_logs_key(tmp_path: Path, log_key: SigningKey) -> None:
    report = verify_dossier(made(tmp_path, log_key), log_key.verifier)
    assert report.sound, report
    assert (report.about, report.audience, report.entries) == ("dispute d-1", "member", 6)
    assert report.parts_opened > 6 and report.parts_shut > 0


def test_a_member_sees_nothing_of_another_member(tmp_path: Path, log_key: SigningKey) -> None:
    raw = made(tmp_path, log_key)
    # Texts of parts stand as strings in JSON, and in words; what is in base64 may spell anything.
    for foreign in (b"m-2", b'\\"o2\\"', b" o2", b'\\"p2\\"', b" p2"):
        assert foreign not in raw, foreign
    assert b'\\"o1\\"' in raw


def test_an_auditor_sees_every_part(tmp_path: Path, log_key: SigningKey) -> None:
    raw = made(tmp_path, log_key, audience="auditor")
    report = verify_dossier(raw, log_key.verifier)
    assert report.sound and report.parts_shut == 0
    assert b"m-2" in raw


def test_a_merchant_sees_its_own_orders(tmp_path: Path, log_key: SigningKey) -> None:
    raw = made(tmp_path, log_key, audience="merchant")
    report = verify_dossier(raw, log_key.verifier)
    assert report.sound
    assert all(f"texts/{name}" not in raw.decode("latin1") for name in ("ab" * 32,))
    assert b"never came" not in raw


def test_the_members_own_texts_are_in_the_members_dossier_alone(tmp_path: Path, log_key: SigningKey) -> None:
    own, others = read_zip(made(tmp_path, log_key)), read_zip(made(tmp_path, log_key, audience="merchant"))
    assert len([name for name in own if name.startswith(c.TEXTS)]) == 2
    assert [name for name in others if name.startswith(c.TEXTS)] == []


def test_the_page_for_people_has_no_script_and_escapes_everything(tmp_path: Path, log_key: SigningKey) -> None:
    page = read_zip(made(tmp_path, log_key))[c.INDEX].decode()
    assert "<script" not in page and "default-src 'none'" in page
    assert "dispute d-1 is upheld by cs-7" in page
    assert "争议 d-1 已有处理结果" in page and "Dispute d-1 was resolved" in page


def test_an_outsiders_name_never_becomes_markup() -> None:
    from services.ledger.dossier.page import ToldEntry, ToldText, index_page

    nasty = "<script>alert(1)</script>\"'"
    manifest = c.Manifest(
        format=c.FORMAT,
        market=nasty,
        origin=nasty,
        about=nasty,
        audience="member",
        reader=nasty,
        made_at=nasty,
        rule_versions=[],
        entries=0,
        parts_opened=0,
        parts_shut=0,
        erased=[],
        files=[],
    )
    told = ToldEntry(
        entry=nasty,
        file=nasty,
        at_ns=0,
        claimed_at=nasty,
        cause=nasty,
        outcome=[nasty],
        why=[nasty],
        opened=1,
        shut=1,
    )
    assert "<script" not in index_page(manifest, [told], [], [ToldText(commitment=nasty, state=nasty)])


def test_what_a_suspicion_was_counted_from_is_shown_to_no_member() -> None:
    held = AssistHeld(
        play="b1",
        assist="a-1",
        member="m-1",
        position=1,
        day="2026-01-01",
        score=70,
        reasons=["same_device"],
        helpers=0,
        publisher="shop-a",
    )
    entry = Entry(seq=1, index=0, part=0, at=T0, decisions=[held])
    found = FoundEntry(1, encode_entry(entry), entry)
    seen = {
        audience: [part.is_open for part in parts_for(found, Reader(audience, name))]
        for audience, name in (("member", "m-1"), ("merchant", "shop-a"), ("auditor", ""))
    }
    assert seen == {"member": [False], "merchant": [True], "auditor": [True]}
    assert [part.is_open for part in parts_for(found, Reader("merchant", "shop-b"))] == [False]


def test_an_event_that_names_somebody_else_too_is_shut_for_a_member() -> None:
    event = msgspec.Raw(encode(posted("o1", "m-1", via="m-2"), T0))
    seat = SeatHeld(
        group="g1",
        order="o1",
        member="m-1",
        offer="tea",
        payable_minor=1,
        currency="CNY",
        hold_until=T0,
        publisher="shop-a",
    )
    entry = Entry(seq=1, index=0, part=0, at=T0, publisher="shop-a", event=event, decisions=[seat])
    found = FoundEntry(1, encode_entry(entry), entry)

    def seen(audience: Audience, name: str) -> list[bool]:
        reader = Reader(audience, name)
        reader.learn([found])
        return [part.is_open for part in parts_for(found, reader)]

    assert (seen("member", "m-1"), seen("member", "m-2")) == ([False, True], [False, False])
    assert (seen("merchant", "shop-a"), seen("merchant", "shop-b")) == ([True, True], [False, False])


def test_the_same_request_gives_the_same_bytes(tmp_path: Path, log_key: SigningKey) -> None:
    assert made(tmp_path, log_key) == made(tmp_path, log_key)


def test_the_tree_is_shown_to_have_grown_out_of_the_checkpoint_that_the_reader_holds(
    tmp_path: Path, log_key: SigningKey
) -> None:
    from services.ledger.tiles import TiledTree

    with open_store(tmp_path, read_only=True) as store:
        held = sign_checkpoint(log_key, Checkpoint(log_key.name, 3, TiledTree(store.tiles, 3).root())).encode()
    raw = made(tmp_path, log_key, since=held)
    assert verify_dossier(raw, log_key.verifier, since=held).since_size == 3
    other = sign_checkpoint(log_key, Checkpoint(log_key.name, 3, bytes(32))).encode()
    assert not verify_dossier(raw, log_key.verifier, since=other).sound
    assert verify_dossier(made(tmp_path, log_key), log_key.verifier, since=held).where == c.SINCE
    with pytest.raises(LedgerBroken):
        made(tmp_path, log_key, since=other)


def test_a_witness_that_must_have_cosigned_must_have(tmp_path: Path, log_key: SigningKey) -> None:
    raw = made(tmp_path, log_key)
    assert verify_dossier(raw, log_key.verifier, [WITNESS.verifier]).where == c.CHECKPOINT
    with open_store(tmp_path, market_key=MARKET_KEY) as store:
        note = store.checkpoint() or ""
        text = note.partition("\n\n")[0] + "\n"
        store.save_checkpoint(note + WITNESS.cosign(text, 1).line(), is_cosigned=True)
    report = verify_dossier(made(tmp_path, log_key), log_key.verifier, [WITNESS.verifier])
    assert report.cosigned_by == [WITNESS.name]


def test_a_dossier_of_another_log_is_none(tmp_path: Path, log_key: SigningKey) -> None:
    stranger = SigningKey(log_key.name, bytes(32))
    assert verify_dossier(made(tmp_path, log_key), stranger.verifier).where == c.MANIFEST_NOTE


# Changed dossiers


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_no_changed_dossier_passes(
    tmp_path: Path, log_key: SigningKey, tamper: Callable[[bytes, random.Random], bytes]
) -> None:
    raw = made(tmp_path, log_key)
    for seed in range(60):
        changed = tamper(raw, random.Random(seed))
        assert changed != raw
        report = verify_dossier(changed, log_key.verifier)
        assert not report.sound and report.where and report.sentence, (tamper.__name__, seed)


def test_not_even_the_logs_key_makes_another_history_pass(tmp_path: Path, log_key: SigningKey) -> None:
    for what, changed in resealed_dossiers(made(tmp_path, log_key), log_key).items():
        assert not verify_dossier(changed, log_key.verifier).sound, what


def test_a_zip_that_is_no_dossier_is_refused_with_a_sentence(tmp_path: Path, log_key: SigningKey) -> None:
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "zips").mkdir()
    for what, raw in foreign_zips(tmp_path / "zips").items():
        report = verify_dossier(raw, log_key.verifier)
        assert not report.sound and report.sentence, what
    assert sorted(path for path in tmp_path.rglob("*") if "zips" not in path.parts) == before


def test_a_zip_is_read_back_as_it_was_built() -> None:
    files = {"manifest.json": b"{}", "entries/000001.json": bytes(range(256)), "empty.txt": b""}
    assert read_zip(build_zip(files)) == files
    with pytest.raises(BadZip, match="cut off"):
        read_zip(build_zip(files)[:-1])


def test_other_tools_can_open_a_dossier(tmp_path: Path, log_key: SigningKey) -> None:
    path = tmp_path / "d.zip"
    path.write_bytes(made(tmp_path, log_key))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read(c.CHECKPOINT).startswith(log_key.name.encode())


# Commands


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return ended.value.code or 0, written.out, written.err

    return command


def test_making_a_dossier_is_recorded_and_checking_it_needs_no_ledger(
    run: Run, tmp_path: Path, log_key: SigningKey
) -> None:
    out = tmp_path / "elsewhere" / "d.zip"
    out.parent.mkdir()
    asked = ("dossier", "--dispute", "d-1", "--for", "member", "--out", str(out), "--data", str(tmp_path))
    assert run(*asked, "--actor", "cs-7")[0] == 0
    (act,) = read_acts(acts_file(tmp_path, MARKET))
    assert (act.act, act.actor, act.facts["about"]) == ("dossier.made", "cs-7", "dispute d-1")
    status, said, _ = run("verify-dossier", str(out), "--key", log_key.verifier.text(), "--json")
    assert (status, json.loads(said)["sound"]) == (0, True)
    assert list(out.parent.iterdir()) == [out]
    out.write_bytes(out.read_bytes()[:-4])
    status, said, _ = run("verify-dossier", str(out), "--key", log_key.verifier.text())
    assert (status, said.startswith("NOT SOUND")) == (1, True)
    assert run("acts", "--data", str(tmp_path))[0] == 0


def test_what_cannot_be_asked_is_said_in_a_sentence(run: Run, tmp_path: Path, log_key: SigningKey) -> None:
    out = ("--out", str(tmp_path / "d.zip"), "--data", str(tmp_path))
    vkey = log_key.verifier.text()
    for status, arguments in (
        (1, ("dossier", "--dispute", "d-9", "--for", "member", *out)),
        (2, ("dossier", "--for", "member", *out)),
        (2, ("dossier", "--order", "o1", "--group", "g3-0", "--for", "member", *out)),
        (2, ("dossier", "--group", "g3-0", "--for", "member", *out)),
        (2, ("dossier", "--order", "o1", "--for", "everybody", *out)),
        (2, ("dossier", "--order", "o1", "--for", "merchant", "--member", "m-1", *out)),
        (2, ("dossier", "--order", "../o1", "--for", "member", *out)),
        (1, ("dossier", "--order", "o1", "--for", "member", "--member", "m-9", *out)),
        (2, ("dossier", "--order", "o1", "--for", "member", "--since", str(tmp_path / "none"), *out)),
        (2, ("dossier", "--order", "o1", "--for", "member", "--out", str(tmp_path / "no" / "d.zip"), *out[2:])),
        (2, ("verify-dossier", str(tmp_path / "none.zip"), "--key", vkey)),
        (2, ("verify-dossier", str(tmp_path / "none.zip"), "--key", "no key")),
        (2, ("verify-dossier", str(tmp_path / "none.zip"), "--key", vkey, "--witness-key", vkey)),
    ):
        found, said, error = run(*arguments)
        assert found == status and (said or error), (arguments, found, said, error)
    assert not (tmp_path / "d.zip").exists()


def test_an_act_that_was_changed_or_taken_out_shows(run: Run, tmp_path: Path, log_key: SigningKey) -> None:
    for _ in range(3):
        arguments = ("--order", "o1", "--for", "auditor", "--out", str(tmp_path / "d.zip"), "--data", str(tmp_path))
        assert run("dossier", *arguments, "--actor", "cs-7")[0] == 0
    path = acts_file(tmp_path, MARKET)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        [lines[0], lines[2]],
        [lines[0].replace(b"cs-7", b"cs-8"), *lines[1:]],
        [*lines[:2], lines[2][:-5]],
    ):
        path.write_bytes(b"".join(changed))
        assert run("acts", "--data", str(tmp_path))[0] == 1
