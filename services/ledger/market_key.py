"""The market's key, as it stands in a file."""

from pathlib import Path

from services.ledger.faults import LedgerError
from services.ledger.leaves import MARKET_KEY_BYTES


def read_market_key(path: Path) -> bytes:
    """Return the market's key in the file at `path`, 32 bytes in hexadecimal. Raises LedgerError when there is none."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise LedgerError(f"there is no market key at {path}: without it no leaf of the tree can be made") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"the market key {path} cannot be read: {error}") from None
    if len(key) != MARKET_KEY_BYTES:
        raise LedgerError(f"the market key {path} has {len(key)} bytes: expected {MARKET_KEY_BYTES} in hexadecimal")
    return key
