"""The Merkle tree of RFC 6962 section 2.1: hashes, proofs, and the verifiers that anyone can run.

A tree is a list of leaf hashes, in order. Every subtree whose size is a power of two and that begins at a multiple
of its size is complete: its hash, the node (height, index), never changes once its last leaf is there. Roots and proofs
are made of nodes alone, so whoever has nodes, in a list or in tiles, has all of them.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from events.counted import counted

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
"""Root of the tree without leaves."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_sha256: Final = hashlib.sha256

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree over leaves [index * 2**height, (index + 1) * 2**height)."""

Span = tuple[int, int]
"""Consecutive leaves: the first, and the one after the last."""


class ProofError(Exception):
    """A proof does not show what it is said to show; the message says what is wrong with it."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash under which a leaf stands in the tree."""
    return _sha256(_LEAF + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node from those of its two children."""
    return _sha256(_NODE + left + right).digest()


# Making roots and proofs


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over `leaf_hashes`."""
    return root_of(len(leaf_hashes), nodes_over(leaf_hashes))


def inclusion_proof(leaf_index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the proof that leaf `leaf_index` is in the tree over `leaf_hashes`, lowest sibling first."""
    return inclusion_proof_of(leaf_index, len(leaf_hashes), nodes_over(leaf_hashes))


def consistency_proof(size1: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the proof that the tree over the first `size1` of `leaf_hashes` is the beginning of that over all."""
    return consistency_proof_of(size1, len(leaf_hashes), nodes_over(leaf_hashes))


def root_of(tree_size: int, node: NodeReader) -> bytes:
    """Return the root of a tree of `tree_size` leaves from its nodes."""
    assert tree_size >= 0, f"a tree of {tree_size} leaves"
    return _hash_of_span((0, tree_size), node) if tree_size else EMPTY_ROOT


def inclusion_proof_of(leaf_index: int, tree_size: int, node: NodeReader) -> list[bytes]:
    """Return the proof that leaf `leaf_index` is in the tree of `tree_size` leaves, from its nodes."""
    assert 0 <= leaf_index < tree_size, f"leaf {leaf_index} of {tree_size}"
    return [_hash_of_span(span, node) for span in _siblings(leaf_index, tree_size)]


def consistency_proof_of(size1: int, size2: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of `size1` leaves is the beginning of that of `size2`, from its nodes."""
    assert 1 <= size1 <= size2, f"from {size1} leaves to {size2}"
    return [_hash_of_span(span, node) for span in _consistency_spans(size1, size2)]


def nodes_over(leaf_hashes: Sequence[bytes]) -> NodeReader:
    """Return the nodes over leaf hashes in memory; each level is made when it is first needed."""
    levels: list[Sequence[bytes]] = [leaf_hashes]

    def node(height: int, index: int) -> bytes:
        while len(levels) <= height:
            levels.append(parents_of(levels[-1]))
        return levels[height][index]

    return node


def parents_of(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of the nodes over consecutive pairs; a last hash without a partner is left out."""
    return [_sha256(_NODE + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=False)]


def _siblings(leaf_index: int, tree_size: int) -> list[Span]:
    """Return what lies beside the way from a leaf to the root, lowest first."""
    spans: list[Span] = []
    begin, end = 0, tree_size
    while end - begin > 1:
        middle = begin + _left_size(end - begin)
        if leaf_index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    return spans[::-1]


def _consistency_spans(size1: int, size2: int) -> list[Span]:
    """Return the spans whose hashes make up both trees, lowest first."""
    spans: list[Span] = []
    begin, end = 0, size2
    while end != size1:
        middle = begin + _left_size(end - begin)
        if size1 <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    # Where the way down kept to the left, what it ends at is the smaller tree itself, whose root the verifier has.
    if begin > 0:
        spans.append((begin, end))
    return spans[::-1]


def _hash_of_span(span: Span, node: NodeReader) -> bytes:
    """Return the hash of the subtree over a span, complete or at the tree's right edge."""
    nodes = [node(height, index) for height, index in _complete_nodes(span)]
    hash_so_far = nodes.pop()
    while nodes:
        hash_so_far = node_hash(nodes.pop(), hash_so_far)
    return hash_so_far


def _complete_nodes(span: Span) -> Iterator[tuple[int, int]]:
    """Yield (height, index) of the complete subtrees that make up a span, from the left, each as large as can be."""
    begin, end = span
    while begin < end:
        height = (end - begin).bit_length() - 1
        yield height, begin >> height
        begin += 1 << height


def _left_size(size: int) -> int:
    """Return how many of `size` leaves, at least two, are in the left subtree: the largest power of two below."""
    return 1 << ((size - 1).bit_length() - 1)


# Verifying


def verify_inclusion(leaf_index: int, tree_size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf of hash `leaf_hash` is number `leaf_index` in the tree of that size and root.

    Raises ProofError when the proof does not show it.
    """
    if not 0 <= leaf_index < tree_size:
        raise ProofError(f"there is no leaf {leaf_index} in a tree of {tree_size}")
    _check_lengths([leaf_hash, root], proof)
    hash_so_far, index, last = leaf_hash, leaf_index, tree_size - 1
    for sibling in proof:
        if last == 0:
            raise ProofError(f"the proof is too long: {counted(len(proof), 'hash', 'hashes')}")
        if index & 1 or index == last:
            hash_so_far = node_hash(sibling, hash_so_far)
            index, last = _past_lone_levels(index, last)
        else:
            hash_so_far = node_hash(hash_so_far, sibling)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise ProofError(f"the proof is too short: {counted(len(proof), 'hash', 'hashes')}")
    if hash_so_far != root:
        raise ProofError("the proof leads to another root")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Check that the tree of `size1` leaves and `root1` is the beginning of that of `size2` and `root2`.

    Raises ProofError when the proof does not show it, and for an empty first tree: every tree begins with that.
    """
    if not 1 <= size1 <= size2:
        raise ProofError(
            f"no tree of {counted(size1, 'leaf', 'leaves')} can be shown to be the beginning of one of {size2}"
        )
    _check_lengths([root1, root2], proof)
    if size1 == size2:
        _check_equal_trees(proof, root1, root2)
        return
    first, rest = _seed(size1, proof, root1)
    before, last = size1 - 1, size2 - 1
    while before & 1:
        before, last = before >> 1, last >> 1
    hash1 = hash2 = first
    for sibling in rest:
        if last == 0:
            raise ProofError(f"the proof is too long: {counted(len(proof), 'hash', 'hashes')}")
        if before & 1 or before == last:
            hash1, hash2 = node_hash(sibling, hash1), node_hash(sibling, hash2)
            before, last = _past_lone_levels(before, last)
        else:
            hash2 = node_hash(hash2, sibling)
        before, last = before >> 1, last >> 1
    if last != 0:
        raise ProofError(f"the proof is too short: {counted(len(proof), 'hash', 'hashes')}")
    if hash1 != root1:
        raise ProofError("the proof leads to another root of the smaller tree")
    if hash2 != root2:
        raise ProofError("the proof leads to another root of the larger tree")


def _check_equal_trees(proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    if proof:
        raise ProofError("two trees of the same size need no proof, but there is one")
    if root1 != root2:
        raise ProofError("two trees of the same size have different roots")


def _seed(size1: int, proof: Sequence[bytes], root1: bytes) -> tuple[bytes, Sequence[bytes]]:
    """Return the node from which both roots are computed, and what follows it in the proof."""
    if size1 & (size1 - 1) == 0:
        # The smaller tree is complete, hence itself a node of the larger one.
        return root1, proof
    if not proof:
        raise ProofError("the proof is empty")
    return proof[0], proof[1:]


def _past_lone_levels(index: int, last: int) -> tuple[int, int]:
    """Return the way at the level below the next one where the node at the right edge has a left sibling."""
    while index and not index & 1:
        index, last = index >> 1, last >> 1
    return index, last


def _check_lengths(named: Sequence[bytes], proof: Sequence[bytes]) -> None:
    for found in (*named, *proof):
        if len(found) != HASH_BYTES:
            raise ProofError(f"a hash of {len(found)} bytes: expected {HASH_BYTES}")
