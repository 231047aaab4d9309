"""The tree of RFC 6962, against published cases and against a naive implementation straight from the RFC's text."""

import base64
import hashlib
import json
import os
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.merkle import (
    EMPTY_ROOT,
    ProofError,
    consistency_proof,
    consistency_proof_of,
    inclusion_proof,
    inclusion_proof_of,
    leaf_hash,
    nodes_over,
    root,
    root_of,
    verify_consistency,
    verify_inclusion,
)

SIZES = range(301)
PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "rfc6962"
PUBLISHED_CASES = 96
ABSENT = f"the published cases are not at {PUBLISHED}"

HASHES = [leaf_hash(f"leaf {number}".encode()) for number in SIZES]


# The published cases


def _published(kind: str) -> list[Any]:
    files = sorted((PUBLISHED / kind).rglob("*.json"))
    return [pytest.param(file, id=f"{file.parent.name}-{file.stem}") for file in files]


def _read(file: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(file.read_text())
    return case


def _hashes(texts: Sequence[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or ()]


@pytest.mark.skipif(not PUBLISHED.is_dir() and os.environ.get("CI") != "true", reason=ABSENT)
def test_the_published_cases_are_there() -> None:
    assert PUBLISHED.is_dir(), ABSENT
    assert len(_published("inclusion")) + len(_published("consistency")) == PUBLISHED_CASES


@pytest.mark.parametrize("file", _published("inclusion"))
def test_inclusion_agrees_with_every_published_case(file: Path) -> None:
    case = _read(file)
    leaf, tree_root = _hashes([case["leafHash"], case["root"]])
    arguments = (case["leafIdx"], case["treeSize"], leaf, _hashes(case["proof"]), tree_root)
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


@pytest.mark.parametrize("file", _published("consistency"))
def test_consistency_agrees_with_every_published_case(file: Path) -> None:
    case = _read(file)
    root1, root2 = _hashes([case["root1"], case["root2"]])
    arguments = (case["size1"], case["size2"], _hashes(case["proof"]), root1, root2)
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_consistency(*arguments)
    else:
        verify_consistency(*arguments)


# The naive implementation: the definitions of RFC 6962, sections 2.1, 2.1.1 and 2.1.2, word for word


def _split(size: int) -> int:
    half = 1
    while half * 2 < size:
        half *= 2
    return half


@cache
def _mth(begin: int, end: int) -> bytes:
    if begin == end:
        return hashlib.sha256(b"").digest()
    if end - begin == 1:
        return HASHES[begin]
    middle = begin + _split(end - begin)
    return hashlib.sha256(b"\x01" + _mth(begin, middle) + _mth(middle, end)).digest()


def _path(index: int, begin: int, end: int) -> list[bytes]:
    if end - begin == 1:
        return []
    half = _split(end - begin)
    if index < half:
        return [*_path(index, begin, begin + half), _mth(begin + half, end)]
    return [*_path(index - half, begin + half, end), _mth(begin, begin + half)]


def _subproof(size: int, begin: int, end: int, known: bool) -> list[bytes]:
    if size == end - begin:
        return [] if known else [_mth(begin, end)]
    half = _split(end - begin)
    if size <= half:
        return [*_subproof(size, begin, begin + half, known), _mth(begin + half, end)]
    return [*_subproof(size - half, begin + half, end, False), _mth(begin, begin + half)]


NODES = nodes_over(HASHES)


def test_the_empty_tree_has_the_root_of_nothing() -> None:
    assert root([]) == EMPTY_ROOT == hashlib.sha256().digest()


def test_roots_of_all_sizes_are_those_of_the_definition() -> None:
    for size in SIZES:
        assert root_of(size, NODES) == _mth(0, size)
        assert root(HASHES[:size]) == _mth(0, size)


def test_inclusion_proofs_of_all_leaves_in_all_sizes_are_those_of_the_definition_and_verify() -> None:
    for size, index in _pairs():
        proof = inclusion_proof_of(index, size, NODES)
        assert proof == _path(index, 0, size)
        verify_inclusion(index, size, HASHES[index], proof, _mth(0, size))


def test_consistency_proofs_of_all_pairs_of_sizes_are_those_of_the_definition_and_verify() -> None:
    for size2, size1 in _pairs(first=1):
        proof = consistency_proof_of(size1, size2, NODES)
        assert proof == _subproof(size1, 0, size2, True)
        verify_consistency(size1, size2, proof, _mth(0, size1), _mth(0, size2))


def _pairs(first: int = 0) -> Iterator[tuple[int, int]]:
    return ((size, other) for size in SIZES for other in range(first, size + first))


# Proofs that were tampered with

sizes = st.integers(1, 300)
noise = st.binary(min_size=32, max_size=32)


@st.composite
def _spoiled_proofs(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """Another list than `proof`: a bit flipped, one left out, put in, doubled, or two swapped."""
    spoiled = list(proof)
    kind = draw(st.sampled_from(["flip", "drop", "insert", "swap", "double", "shorten"] if proof else ["insert"]))
    at = draw(st.integers(0, max(0, len(proof) - 1)))
    if kind == "flip":
        bit = draw(st.integers(0, 255))
        spoiled[at] = (int.from_bytes(proof[at]) ^ 1 << bit).to_bytes(32)
    elif kind == "drop":
        del spoiled[at]
    elif kind == "insert":
        spoiled.insert(draw(st.integers(0, len(proof))), draw(noise))
    elif kind == "swap":
        other = draw(st.integers(0, len(proof) - 1))
        spoiled[at], spoiled[other] = spoiled[other], spoiled[at]
    elif kind == "double":
        spoiled.insert(at, proof[at])
    else:
        spoiled[at] = proof[at][: draw(st.integers(0, 31))]
    return spoiled


@given(st.data(), sizes)
@settings(max_examples=400, deadline=None)
def test_a_changed_inclusion_proof_fails(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, HASHES[:size])
    spoiled = data.draw(_spoiled_proofs(proof).filter(lambda changed: changed != proof))
    with pytest.raises(ProofError):
        verify_inclusion(index, size, HASHES[index], spoiled, _mth(0, size))


@given(st.data(), sizes)
@settings(max_examples=400, deadline=None)
def test_a_changed_consistency_proof_fails(data: st.DataObject, size2: int) -> None:
    size1 = data.draw(st.integers(1, size2))
    proof = consistency_proof(size1, HASHES[:size2])
    spoiled = data.draw(_spoiled_proofs(proof).filter(lambda changed: changed != proof))
    with pytest.raises(ProofError):
        verify_consistency(size1, size2, spoiled, _mth(0, size1), _mth(0, size2))


@given(st.data(), sizes)
@settings(max_examples=400, deadline=None)
def test_a_proof_shows_a_leaf_in_its_own_place_and_nowhere_else(data: st.DataObject, size: int) -> None:
    index, elsewhere = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-2, size + 2))
    if elsewhere == index:
        return
    proof = inclusion_proof(index, HASHES[:size])
    with pytest.raises(ProofError):
        verify_inclusion(elsewhere, size, HASHES[index], proof, _mth(0, size))


@given(st.data(), sizes)
@settings(max_examples=400, deadline=None)
def test_no_proof_shows_another_leaf_or_another_root(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, HASHES[:size])
    other = data.draw(noise)
    with pytest.raises(ProofError):
        verify_inclusion(index, size, other, proof, _mth(0, size))
    with pytest.raises(ProofError):
        verify_inclusion(index, size, HASHES[index], proof, other)


@given(st.data(), sizes)
@settings(max_examples=400, deadline=None)
def test_no_proof_shows_that_one_tree_is_the_beginning_of_a_different_one(data: st.DataObject, size2: int) -> None:
    size1 = data.draw(st.integers(1, size2))
    proof = consistency_proof(size1, HASHES[:size2])
    other = data.draw(noise)
    with pytest.raises(ProofError):
        verify_consistency(size1, size2, proof, other, _mth(0, size2))
    with pytest.raises(ProofError):
        verify_consistency(size1, size2, proof, _mth(0, size1), other)


def test_a_fork_cannot_be_shown_to_be_consistent() -> None:
    """Two trees that differ in one old leaf, with the proofs that either of them would give."""
    rng = random.Random(6962)
    for _ in range(200):
        size2 = rng.randint(2, 300)
        size1 = rng.randint(1, size2)
        forked = list(HASHES[:size2])
        forked[rng.randrange(size1)] = rng.randbytes(32)
        for leaves in (HASHES[:size2], forked):
            with pytest.raises(ProofError):
                verify_consistency(size1, size2, consistency_proof(size1, leaves), _mth(0, size1), root(forked))


@pytest.mark.parametrize(("size1", "size2"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_sizes_that_cannot_follow_each_other_are_refused(size1: int, size2: int) -> None:
    with pytest.raises(ProofError, match="beginning"):
        verify_consistency(size1, size2, [], EMPTY_ROOT, _mth(0, 5))


def test_huge_sizes_are_refused_quickly() -> None:
    with pytest.raises(ProofError, match="too short"):
        verify_inclusion(2**63, 2**64, HASHES[0], [HASHES[1]] * 3, HASHES[2])
    with pytest.raises(ProofError, match="too long"):
        verify_consistency(1, 2, [HASHES[1]] * 10_000, HASHES[0], HASHES[2])
