"""One intake message, as the rules see it."""

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """Its sequence, the broker's timestamp in ns, its subject's publisher and family, its body."""

    seq: int
    at: int
    publisher: str
    family: str
    body: bytes
