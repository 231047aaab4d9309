"""The tree in tiles: what the specification says of sizes and paths, and that tiles give what the whole tree gives."""

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.faults import LedgerBroken
from services.ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_proof_of,
    inclusion_proof_of,
    leaf_hash,
    nodes_over,
    root,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from services.ledger.tiles import (
    INDEX_MAX,
    TILE_BYTES,
    TILE_WIDTH,
    Edge,
    MemoryTiles,
    Tile,
    TiledTree,
    TileRequest,
    decode_bundle,
    encode_bundle,
    parse_tile_path,
    tile_path,
    width_of,
)

# Just over two levels: the third holds one hash.
LEAVES = 256 * 256 + 300
HASHES = [leaf_hash(number.to_bytes(4, "big")) for number in range(LEAVES)]
NODES = nodes_over(HASHES)


class CountingTiles(MemoryTiles):
    """Tiles that count how often they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, tile: Tile) -> bytes | None:
        self.reads += 1
        return super().get(tile)


def _grow(tiles: MemoryTiles, hashes: Sequence[bytes], steps: Iterator[int], edge: Edge | None = None) -> Edge:
    edge = edge or Edge()
    while edge.size < len(hashes):
        edge, changed = edge.grown(hashes[edge.size : edge.size + next(steps)])
        tiles.put(changed)
    return edge


def _steps(rng: random.Random, *sizes: int) -> Iterator[int]:
    while True:
        yield rng.choice(sizes)


@pytest.fixture(scope="module")
def grown() -> MemoryTiles:
    """The tiles of all leaves, appended in steps of all kinds."""
    tiles = MemoryTiles()
    _grow(tiles, HASHES, _steps(random.Random(1), 1, 7, 255, 256, 257, 1_000, 5_000))
    return tiles


# What the specification says


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (70_000, {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}),
        (256, {0: [256], 1: [1]}),
        (1, {0: [1]}),
        (255, {0: [255]}),
        (257, {0: [256, 1], 1: [1]}),
    ],
)
def test_a_tree_has_the_tiles_that_the_specification_lists(size: int, widths: dict[int, list[int]]) -> None:
    for level in range(6):
        wanted = widths.get(level, [])
        assert [width_of(Tile(level, index), size) for index in range(len(wanted) + 2)] == [*wanted, 0, 0]
    tiles, hashes = MemoryTiles(), [bytes(HASH_BYTES)] * size
    _grow(tiles, hashes, iter([size]))
    for level, wanted in widths.items():
        for index, width in enumerate(wanted):
            assert len(tiles.get(Tile(level, index)) or b"") == width * HASH_BYTES
        assert tiles.get(Tile(level, len(wanted))) is None


def test_a_hash_of_a_higher_level_is_the_root_of_the_full_tile_below(grown: MemoryTiles) -> None:
    above = grown.get(Tile(1, 0)) or b""
    for index in (0, 1, 100, 255):
        leaves = HASHES[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
        assert grown.get(Tile(0, index)) == b"".join(leaves)
        assert above[index * HASH_BYTES : (index + 1) * HASH_BYTES] == root(leaves)
    assert grown.get(Tile(2, 0)) == root(HASHES[: TILE_WIDTH**2])


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("0/000", TileRequest(Tile(0, 0), 256, False)),
        ("0/x001/x234/067", TileRequest(Tile(0, 1_234_067), 256, False)),
        ("63/001.p/255", TileRequest(Tile(63, 1), 255, False)),
        ("entries/x999/999", TileRequest(Tile(0, 999_999), 256, True)),
        ("entries/000.p/1", TileRequest(Tile(0, 0), 1, True)),
    ],
)
def test_paths_are_those_of_the_specification(path: str, request_: TileRequest) -> None:
    assert parse_tile_path(path) == request_
    assert tile_path(request_) == path


@given(st.integers(0, 63), st.integers(0, INDEX_MAX), st.integers(1, 256), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_tile_has_one_path(level: int, index: int, width: int, is_bundle: bool) -> None:
    request = TileRequest(Tile(0 if is_bundle else level, index), width, is_bundle)
    assert parse_tile_path(tile_path(request)) == request


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "0/x000/001",
        "0/x1/001",
        "0/001/x002",
        "0/001/002",
        "0/x001x002/003",
        "0/-01",
        "0/٠٠٠",
        "0/001/",
        "00/001",
        "64/001",
        "-1/001",
        "entry/001",
        "entries/1",
        "0/001.p/",
        "0/001.p/0",
        "0/001.p/256",
        "0/001.p/01",
        "0/001.p/1/2",
        "0/001.p/1.p/1",
        "../0/001",
        "0/" + "x999/" * 40 + "999",
    ],
)
def test_what_is_no_path_of_a_tile_names_none(path: str) -> None:
    assert parse_tile_path(path) is None


# Growing


@given(st.lists(st.integers(1, 700), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_tiles_are_the_same_however_the_leaves_came(steps: list[int]) -> None:
    size = sum(steps)
    piecewise, at_once = MemoryTiles(), MemoryTiles()
    edge = _grow(piecewise, HASHES[:size], iter(steps))
    assert edge == _grow(at_once, HASHES[:size], iter([size]))
    for tile in [Tile(level, index) for level in range(3) for index in range(size // 256 + 2)]:
        assert piecewise.get(tile) == at_once.get(tile)


def test_the_edge_is_found_again_in_the_tiles() -> None:
    tiles, edge = MemoryTiles(), Edge()
    for size in (0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, LEAVES):
        edge = _grow(tiles, HASHES[:size], _steps(random.Random(size), 64, 256, 999), edge)
        found = Edge.load(tiles, size)
        assert found.grown(HASHES[size : size + 300]) == edge.grown(HASHES[size : size + 300])
        assert found.root() == edge.root() == root_of(size, NODES)


def test_appending_writes_a_bounded_amount_and_reads_nothing() -> None:
    tiles = CountingTiles()
    edge, written = Edge(), 0
    for hash_ in HASHES[:5_000]:
        edge, changed = edge.grown([hash_])
        tiles.put(changed)
        assert sum(map(len, changed.values())) <= 3 * TILE_BYTES
        written += len(changed)
    assert tiles.reads == 0
    assert written <= 5_000 * (1 + 2 / TILE_WIDTH)


def test_nothing_is_written_when_nothing_is_appended() -> None:
    edge, _ = Edge().grown(HASHES[:300])
    assert edge.grown([]) == (edge, {})


# Roots and proofs


def test_the_root_of_every_size_comes_from_the_tiles(grown: MemoryTiles) -> None:
    assert TiledTree(grown, 0).root() == EMPTY_ROOT
    rng = random.Random(2)
    for size in {*range(1, 600), 65_535, 65_536, 65_537, LEAVES, *(rng.randint(1, LEAVES) for _ in range(100))}:
        assert TiledTree(grown, size).root() == root_of(size, NODES)


def test_proofs_from_tiles_are_those_of_the_whole_tree_and_verify(grown: MemoryTiles) -> None:
    rng = random.Random(3)
    for _ in range(200):
        size = rng.choice([rng.randint(1, 700), rng.randint(1, LEAVES)])
        index, before = rng.randrange(size), rng.randint(1, size)
        tree = TiledTree(grown, size)
        inclusion, consistency = tree.inclusion_proof(index), tree.consistency_proof(before)
        assert inclusion == inclusion_proof_of(index, size, NODES)
        assert consistency == consistency_proof_of(before, size, NODES)
        verify_inclusion(index, size, tree.leaf_hash(index), inclusion, tree.root())
        verify_consistency(before, size, consistency, TiledTree(grown, before).root(), tree.root())


def test_a_proof_reads_at_most_two_tiles_a_level() -> None:
    tiles = CountingTiles()
    _grow(tiles, HASHES, iter([LEAVES]))
    for index in (0, 255, 256, 65_535, 65_536, LEAVES - 1):
        tiles.reads = 0
        TiledTree(tiles, LEAVES).inclusion_proof(index)
        assert tiles.reads <= 6
        tiles.reads = 0
        TiledTree(tiles, LEAVES).consistency_proof(index + 1)
        assert tiles.reads <= 6


@pytest.mark.parametrize("body", [b"", bytes(31), bytes(HASH_BYTES), bytes(TILE_BYTES + HASH_BYTES)])
def test_a_tile_that_was_cut_is_named(body: bytes) -> None:
    tiles = MemoryTiles()
    _grow(tiles, HASHES[:1_000], iter([1_000]))
    tiles.put({Tile(0, 2): body})
    with pytest.raises(LedgerBroken, match="tile 0/2"):
        TiledTree(tiles, 1_000).inclusion_proof(600)


def test_a_missing_tile_is_named() -> None:
    with pytest.raises(LedgerBroken, match="tile 0/0: it is missing"):
        TiledTree(MemoryTiles(), 10).root()
    with pytest.raises(LedgerBroken, match="tile 0/1: it is missing"):
        Edge.load(MemoryTiles(), 300)


# Bundles


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=100, deadline=None)
def test_the_entries_of_a_bundle_are_found_again(leaves: list[bytes]) -> None:
    bundle = encode_bundle(leaves)
    assert decode_bundle(bundle) == leaves
    if leaves:
        with pytest.raises(ValueError, match="cut"):
            decode_bundle(bundle[:-1])


def test_a_bundle_is_length_prefixed_big_endian() -> None:
    assert encode_bundle([b"a", b"", b"x" * 258]) == b"\x00\x01a\x00\x00\x01\x02" + b"x" * 258
