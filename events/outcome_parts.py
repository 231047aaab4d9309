"""What `events.outcomes` and `events.outcome_bytes` read and write themselves."""

from typing import Final

import msgspec


class Identified(msgspec.Struct, gc=False):
    """Of an event, what an outcome repeats."""

    id: str = ""
    source: str = ""


class SeatTold(msgspec.Struct, kw_only=True, gc=False):
    """What is told of a seat, as `events.outcomes` has it."""

    order: str
    member: str
    quantity: int
    price_minor: int
    won: bool | msgspec.UnsetType = msgspec.UNSET


decode_identified: Final = msgspec.json.Decoder(Identified).decode
"""Returns what an outcome repeats of an event's bytes."""
