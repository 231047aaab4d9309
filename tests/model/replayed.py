"""An engine that decides archived inputs again, as `ledger replay --check` does, beside one that decided them."""

from events.record import decode_entry, decode_entry_bytes
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones

_ASTRAY = b'"reason":"wrong_family"'


class Replayed:
    """Knows of a market only what its entries say."""

    def __init__(self, facts: Facts, zones: Zones) -> None:
        self._engine = Engine("main", facts, zones)

    def check(self, raws: list[bytes]) -> None:
        """What was decided of one message is decided again, byte for byte."""
        again: list[bytes] = []
        for raw in raws:
            entry = decode_entry_bytes(raw)
            if entry.publisher is None:
                continue
            if entry.event is None:
                again += self._engine.retake(decode_entry(raw))
            else:
                again += self._engine.redo(entry, is_astray=_ASTRAY in bytes(entry.decisions[0]))
        assert again == raws, f"decided was {raws}\nand again {again}"
