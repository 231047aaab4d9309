"""Checkpoints: the published example, round trips, and what is refused."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.checkpoint import (
    SIZE_MAX,
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    origin_of,
    parse_checkpoint,
    read_unverified,
    sign_checkpoint,
)
from services.ledger.note import SigningKey, sign_note

# The example of c2sp.org/tlog-cosignature, a checkpoint with the signatures of its log and of a witness.
EXAMPLE_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
EXAMPLE = (
    f"{EXAMPLE_TEXT}\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
ORIGIN = "localhost/groupbuy/main"
KEY = SigningKey(ORIGIN, bytes(range(32)))
ROOT = bytes(range(32))
ROOT_TEXT = base64.b64encode(ROOT).decode()

roots = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, SIZE_MAX)


def test_the_published_example_is_read() -> None:
    checkpoint = read_unverified(EXAMPLE.encode())
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert checkpoint.text() == EXAMPLE_TEXT


def test_the_origin_names_host_and_market() -> None:
    assert origin_of("log.example.com", "main") == "log.example.com/groupbuy/main"


@given(sizes, roots)
@settings(max_examples=100, deadline=None)
def test_what_is_signed_can_be_opened(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert open_checkpoint(sign_checkpoint(KEY, checkpoint).encode(), KEY.verifier) == checkpoint


def test_lines_that_others_added_are_kept() -> None:
    checkpoint = Checkpoint(ORIGIN, 7, ROOT, ("a line", "another"))
    assert open_checkpoint(sign_checkpoint(KEY, checkpoint).encode(), KEY.verifier) == checkpoint


def test_a_checkpoint_with_further_signatures_is_opened() -> None:
    checkpoint = Checkpoint(ORIGIN, 7, ROOT)
    note = sign_note(checkpoint.text(), [SigningKey("witness.example.com", bytes(32)), KEY])
    assert open_checkpoint(note.encode().encode(), KEY.verifier) == checkpoint


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_anywhere_in_a_checkpoint_is_found(data: st.DataObject) -> None:
    raw = bytearray(sign_checkpoint(KEY, Checkpoint(ORIGIN, 123, ROOT)).encode())
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CheckpointError):
        open_checkpoint(bytes(raw), KEY.verifier)


def test_a_checkpoint_under_another_key_is_refused_even_if_it_bears_the_same_name() -> None:
    swapped = SigningKey(ORIGIN, bytes(32))
    with pytest.raises(CheckpointError, match="not by a key that is trusted"):
        open_checkpoint(sign_checkpoint(swapped, Checkpoint(ORIGIN, 1, ROOT)).encode(), KEY.verifier)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = sign_note(Checkpoint("localhost/groupbuy/other", 1, ROOT).text(), [KEY]).encode()
    with pytest.raises(CheckpointError, match="groupbuy/other"):
        open_checkpoint(note.encode(), KEY.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n",
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}",
        f"\n1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}\n\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT}\n\nextension\n",
        f"{ORIGIN}\n01\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n-1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n+1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n 1\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1_0\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n٣\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n{'9' * 5_000}\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n1\nno base64\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT[:-4]}\n",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\n1\n{ROOT_TEXT[:-2]}9=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        parse_checkpoint(text)
