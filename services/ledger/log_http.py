"""The log over HTTP, as C2SP describes it (c2sp.org/tlog-tiles): checkpoint, tiles and entry bundles for log tools.

Only what the last checkpoint covers is shown. Tiles come from the database as they are; bundles are made of the
archived entries and compared with the tile before they leave the house.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from events.counted import counted
from services.ledger.archived_leaves import leaves_between
from services.ledger.checkpointing import Checkpointer, SignedCheckpoint
from services.ledger.faults import LedgerError
from services.ledger.merkle import HASH_BYTES, leaf_hash
from services.ledger.store import LedgerStore
from services.ledger.tiles import TILE_WIDTH, TileRequest, encode_bundle, parse_tile_path, width_of

# A tile of full width never changes and a partial one is named by its width.
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_NOT_FOR_LONG: Final = {"Cache-Control": "no-cache"}
_OCTETS: Final = "application/octet-stream"


class PublishedLog(Protocol):
    """One market's log as the archiver has it: archive and checkpoints, which are there after a while."""

    @property
    def market(self) -> str:
        """The market."""

    @property
    def store(self) -> LedgerStore | None:
        """The archive, once it is open."""

    @property
    def checkpointer(self) -> Checkpointer | None:
        """What signs, once the tree is there."""


def log_routes(log: PublishedLog, reading: ThreadPoolExecutor) -> Sequence[Route]:
    """Return the routes under /ledger/<market>/; the database is read in `reading`."""

    async def checkpoint(request: Request) -> Response:
        latest = _latest(log, request)
        if latest is None:
            return _not_found("there is no such log here, or nothing has been signed yet")
        return PlainTextResponse(latest.note, headers=_NOT_FOR_LONG)

    async def tile(request: Request) -> Response:
        latest, store = _latest(log, request), log.store
        wanted = parse_tile_path(request.path_params["path"])
        if latest is None or store is None or wanted is None:
            return _not_found("there is no such tile; expected tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")
        if wanted.width > width_of(wanted.tile, latest.checkpoint.size):
            return _not_found(
                f"the tree has {counted(latest.checkpoint.size, 'leaf', 'leaves')}: it has no such tile yet"
            )
        try:
            body = await asyncio.get_running_loop().run_in_executor(reading, read_wanted, store, wanted)
        except LedgerError as error:
            return PlainTextResponse(f"{error}\n", 500, headers=_NOT_FOR_LONG)
        return Response(body, media_type=_OCTETS, headers=_FOR_EVER)

    return [
        Route("/ledger/{market}/checkpoint", checkpoint, methods=["GET"]),
        Route("/ledger/{market}/tile/{path:path}", tile, methods=["GET"]),
    ]


def _latest(log: PublishedLog, request: Request) -> SignedCheckpoint | None:
    """Return the last checkpoint of the market that was asked for."""
    if request.path_params["market"] != log.market or log.checkpointer is None:
        return None
    return log.checkpointer.latest


def read_wanted(store: LedgerStore, wanted: TileRequest) -> bytes:
    """Return a tile or a bundle. Raises LedgerError when it is not what the tree says."""
    body = store.tiles.get(wanted.tile) or b""
    hashes = body[: wanted.width * HASH_BYTES]
    if len(hashes) < wanted.width * HASH_BYTES:
        raise LedgerError(f"{wanted.tile} is damaged: run `groupbuy ledger verify`")
    return _bundle(store, wanted, hashes) if wanted.is_bundle else hashes


def _bundle(store: LedgerStore, wanted: TileRequest, hashes: bytes) -> bytes:
    assert store.tree is not None, "only a ledger that keeps a tree is shown"
    begin = wanted.tile.index * TILE_WIDTH
    leaves = leaves_between(store, store.tree.maker, begin, begin + wanted.width)
    if b"".join(map(leaf_hash, leaves)) != hashes:
        raise LedgerError(f"the entries below {wanted.tile} are not those of the tree: run `groupbuy ledger verify`")
    return encode_bundle(leaves)


def _not_found(sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", 404, headers=_NOT_FOR_LONG)
