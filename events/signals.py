"""What a publisher may say about how an act came to it: hashes and coarse facts, never an address or a device's id."""

from typing import Annotated, Final

import msgspec

from events.ids import Id, Sha256Hex

AGE_MAX_DAYS: Final = 36_500


class Signals(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Where an act came from, hashed by the publisher with the market's salt before it is sent.

    `device` and `network` are SHA-256 in lower-case hexadecimal; whatever else stands there makes the event
    unreadable (`raw_signal`). `account_age_days` counts whole days since the member registered. `channel` names the
    way, e.g. `app`, `mini-program`, `web`.
    """

    device: Sha256Hex | None = None
    network: Sha256Hex | None = None
    account_age_days: Annotated[int, msgspec.Meta(ge=0, le=AGE_MAX_DAYS)] | None = None
    channel: Id | None = None
