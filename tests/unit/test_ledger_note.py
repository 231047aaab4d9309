"""Signed notes and their keys: published vectors, round trips, and what was tampered with."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.faults import LedgerError
from services.ledger.log_key import ensure_log_key, log_key_file, read_log_key
from services.ledger.note import (
    NOTE_MAX_BYTES,
    SIGNATURES_MAX,
    NoteError,
    SigningKey,
    VerifierKey,
    open_note,
    parse_note,
    sign_note,
)

# The example of c2sp.org/signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

# The keys and the signatures with which Go's note package is tested.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
OTHER = SigningKey("example.com/other", bytes(32))


def _key(text: str) -> VerifierKey:
    return VerifierKey.parse(text)


def _open(note: str, *keys: str) -> tuple[str, list[str]]:
    opened = open_note(note.encode(), [_key(key) for key in keys])
    return opened.text, [signature.name for signature in opened.signatures]


# Published vectors


def test_the_published_example_is_verified() -> None:
    assert _open(EXAMPLE_NOTE, EXAMPLE_KEY) == ("This is an example message.\n", ["example.com/foo"])


@pytest.mark.parametrize("text", [EXAMPLE_KEY, PETER, ENOCH])
def test_a_published_verifier_key_is_written_as_it_was_read(text: str) -> None:
    assert _key(text).text() == text


def test_a_published_private_key_makes_the_published_signature() -> None:
    key = SigningKey.parse(PETER_SECRET)
    assert key.text() == PETER_SECRET
    assert key.verifier.text() == PETER
    assert sign_note(TEXT, [key]).encode() == f"{TEXT}\n{PETER_LINE}"


def test_of_several_signatures_those_of_known_keys_are_verified_and_the_others_ignored() -> None:
    both = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
    assert _open(both, PETER) == (TEXT, ["PeterNeumann"])
    assert _open(both, PETER, ENOCH) == (TEXT, ["PeterNeumann", "EnochRoot"])


def test_a_signature_of_an_unknown_key_with_a_known_name_or_id_is_ignored() -> None:
    stranger = SigningKey("PeterNeumann", bytes(32)).sign(TEXT)
    same_id = ENOCH_LINE.replace("EnochRoot rwz+eB", "EnochRoot x08goB")
    assert _open(f"{TEXT}\n{stranger.line()}{same_id}{PETER_LINE}", PETER) == (TEXT, ["PeterNeumann"])


# What is refused


def test_a_note_that_no_known_key_signed_is_refused() -> None:
    with pytest.raises(NoteError, match="not by a key that is trusted"):
        _open(f"{TEXT}\n{ENOCH_LINE}", PETER)
    with pytest.raises(NoteError, match="not by a key that is trusted"):
        _open(f"{TEXT}\n{ENOCH_LINE}")


def test_one_wrong_signature_of_a_known_key_refuses_the_note_however_many_are_right() -> None:
    wrong = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}".replace("RvMc+QQ=", "RvMc+QU=")
    with pytest.raises(NoteError):
        _open(wrong, PETER, ENOCH)
    spoiled = SigningKey.parse(PETER_SECRET).sign("another text\n").line()
    with pytest.raises(NoteError, match="not valid"):
        _open(f"{TEXT}\n{PETER_LINE}{spoiled}", PETER)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}\n{PETER_LINE}"[:-1].encode(),
        f"{TEXT}{PETER_LINE}".encode(),
        f"\x01{TEXT}\n{PETER_LINE}".encode(),
        f"{TEXT}\r\n\n{PETER_LINE}".encode(),
        f"\xff{TEXT}\n{PETER_LINE}".encode("latin-1", "replace"),
        f"{TEXT}\n{PETER_LINE}Unexpected line.\n".encode(),
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Peter Neumann')}".encode(),
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Peter+Neumann')}".encode(),
        f"{TEXT}\n{PETER_LINE}".replace("PeterNeumann", "Peter\u2003Neumann").encode(),
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann ', '')}".encode(),
        f"{TEXT}\n{PETER_LINE.replace('x08go', 'x08g!')}".encode(),
        f"{TEXT}\n— PeterNeumann x08gow==\n".encode(),
        f"{TEXT}\n{PETER_LINE * (SIGNATURES_MAX + 1)}".encode(),
        b"a" * NOTE_MAX_BYTES + b"\n\n" + PETER_LINE.encode(),
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    with pytest.raises(NoteError):
        open_note(raw, [_key(PETER)])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_anywhere_in_a_note_is_found(data: st.DataObject) -> None:
    raw = bytearray(f"{TEXT}\n{PETER_LINE}".encode())
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_note(bytes(raw), [_key(PETER)])


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(NoteError):
        parse_note(raw + b"\n\n\xe2\x80\x94 a b\n")


def test_every_mangled_verifier_key_is_refused() -> None:
    mangled = [PETER[i:j] for i in range(len(PETER)) for j in range(i + 1, len(PETER) + 1) if j - i < len(PETER)]
    mangled += [PETER[:i] + chr(ord(PETER[i]) + 1) + PETER[i + 1 :] for i in range(len(PETER))]
    mangled += [
        "",
        # A key of the wrong length and one of an unknown kind, with the ids that they would have.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        PETER.replace("c74f20a3", "C74F20A3"),
        "x" * 2_000,
    ]
    for text in mangled:
        with pytest.raises(NoteError):
            VerifierKey.parse(text)


def test_every_mangled_private_key_is_refused_and_nothing_of_it_quoted() -> None:
    mangled = [PETER_SECRET[:i] for i in range(len(PETER_SECRET))]
    mangled += [
        PETER_SECRET[:i] + chr(ord(PETER_SECRET[i]) + 1) + PETER_SECRET[i + 1 :] for i in range(len(PETER_SECRET))
    ]
    for text in mangled:
        with pytest.raises(NoteError) as refused:
            SigningKey.parse(text)
        assert "EKFALVFGyNhPJ" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "no newline", "a tab\t\n", "\x7f\x00\n"])
def test_a_text_that_no_note_can_have_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, [OTHER])


@given(st.text(st.characters(min_codepoint=32, codec="utf-8"), max_size=80), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_what_is_signed_can_be_opened(line: str, signers: int) -> None:
    keys = [SigningKey(f"log-{number}", bytes([number]) * 32) for number in range(signers)]
    note = sign_note(f"{line}\n\n{line}\n", keys)
    assert parse_note(note.encode().encode()) == note
    assert open_note(note.encode().encode(), [key.verifier for key in keys]) == note


# The key of a log


def test_the_key_is_made_at_first_run_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    path = log_key_file(tmp_path / "data", "main")
    made = ensure_log_key(path, "localhost/groupbuy/main")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert ensure_log_key(path, "localhost/groupbuy/main").text() == made.text() == read_log_key(path).text()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_two_logs_have_different_keys(tmp_path: Path) -> None:
    keys = {ensure_log_key(tmp_path / f"{number}.key", "a").verifier.text() for number in range(5)}
    assert len(keys) == 5


def test_a_key_of_another_name_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    made = ensure_log_key(path, "one.example/groupbuy/main")
    with pytest.raises(LedgerError, match=r"one\.example.*two\.example.*log_host"):
        ensure_log_key(path, "two.example/groupbuy/main")
    assert read_log_key(path).text() == made.text()


@pytest.mark.parametrize("name", ["", "two words/groupbuy/main", "a+b/groupbuy/main", "a\nb/groupbuy/main"])
def test_a_log_that_cannot_have_its_name_is_told_which_setting_to_change(tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerError, match="log_host"):
        ensure_log_key(tmp_path / "log.key", name)
    assert not (tmp_path / "log.key").exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    ensure_log_key(path, "a")
    path.chmod(0o640)
    with pytest.raises(LedgerError, match="chmod 600"):
        ensure_log_key(path, "a")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"PRIVATE+KEY+a+00000000+AAAA", b"x" * 10_000])
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="log key"):
        ensure_log_key(path, "a")
    assert path.read_bytes() == content


def test_a_missing_key_is_named_when_it_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no log key"):
        read_log_key(tmp_path / "log.key")


def test_a_key_cannot_be_made_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file, not a directory")
    with pytest.raises(LedgerError, match="cannot be made"):
        ensure_log_key(tmp_path / "keys" / "log.key", "a")
