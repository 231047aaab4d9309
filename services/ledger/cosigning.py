"""Cosignatures: after a checkpoint each configured witness is asked whether the log went on from what it saw before."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import httpx2

from events.counted import counted
from services.bus.health import Check, Status
from services.ledger.checkpointing import SignedCheckpoint
from services.ledger.faults import LedgerError
from services.ledger.note import NoteSignature
from services.ledger.witness.ask import OtherSize, WitnessAway, WitnessDisagrees, WitnessPlace, ask_cosignature

_TRIES: Final = 3
_log: Final = logging.getLogger("groupbuy.ledger")

ProofFrom = Callable[[int, int], Awaitable[list[bytes]]]
"""Gives the proof that the tree of the first size is the beginning of that of the second."""


class Cosigning:
    """What one log asks of its witnesses, and what they said; nothing here blocks."""

    def __init__(self, places: Sequence[WitnessPlace], proof_from: ProofFrom) -> None:
        self._places = places
        self._proof_from = proof_from
        self._sizes = dict.fromkeys((place.url for place in places), 0)
        self._away: dict[str, str] = {}
        self._against: dict[str, str] = {}
        self._client: httpx2.AsyncClient | None = None
        self.cosigned_size = 0
        """Leaves of the last checkpoint that a witness cosigned."""

    @property
    def is_wanted(self) -> bool:
        """Tell whether there are witnesses to ask."""
        return bool(self._places)

    @property
    def disagrees(self) -> bool:
        """Tell whether a witness has seen another log than this."""
        return bool(self._against)

    async def ask(self, signed: SignedCheckpoint) -> SignedCheckpoint | None:
        """Return `signed` with the cosignatures that the witnesses gave, None when none gave any."""
        asked = [self._ask_one(place, signed) for place in self._places]
        lines = [signature.line() for signature in await asyncio.gather(*asked) if signature is not None]
        if not lines:
            return None
        self.cosigned_size = signed.checkpoint.size
        return SignedCheckpoint(signed.checkpoint, signed.note + "".join(lines))

    async def stop(self) -> None:
        """Close the connections to the witnesses."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(httpx2.HTTPError, OSError):
                await client.aclose()

    def check(self) -> Check:
        """Return what the witnesses say, for Health."""
        if not self._places:
            return Check(Status.OK, "no witness is configured")
        troubles = [*self._against.values(), *self._away.values()]
        if troubles:
            return Check(Status.DEGRADED, "; ".join(troubles))
        return Check(Status.OK, f"the first {counted(self.cosigned_size, 'entry is', 'entries are')} cosigned")

    async def _ask_one(self, place: WitnessPlace, signed: SignedCheckpoint) -> NoteSignature | None:
        try:
            signature = await self._until_sizes_agree(place, signed)
        except WitnessAway as error:
            self._away[place.url] = str(error)
            _log.warning("no cosignature: %s", error)
        except LedgerError as error:
            self._against[place.url] = str(error)
            _log.error("ALARM %s", error)
        else:
            self._sizes[place.url] = signed.checkpoint.size
            self._away.pop(place.url, None)
            self._against.pop(place.url, None)
            return signature
        return None

    async def _until_sizes_agree(self, place: WitnessPlace, signed: SignedCheckpoint) -> NoteSignature:
        """Ask, and ask again from the size that the witness names."""
        size = signed.checkpoint.size
        for _ in range(_TRIES):
            old_size = self._sizes[place.url]
            proof = await self._proof_from(old_size, size) if 0 < old_size < size else []
            try:
                return await ask_cosignature(self._connected(), place, old_size, proof, signed.note)
            except OtherSize as other:
                self._sizes[place.url] = min(other.size, size)
                if other.size > size:
                    leaves = counted(other.size, "leaf", "leaves")
                    raise WitnessDisagrees(
                        f"{place.url} has cosigned {leaves} of this log, which now has {size}: the end is missing, or "
                        "another log signs with this key"
                    ) from None
                if other.size == old_size == size:
                    leaves = counted(size, "leaf", "leaves")
                    raise WitnessDisagrees(
                        f"{place.url} has cosigned another tree of {leaves}: this log is not the one it saw"
                    ) from None
        raise WitnessAway(f"{place.url} names another size each time")

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient()
        return self._client
