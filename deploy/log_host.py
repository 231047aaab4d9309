"""The host under whose name a market's log signs."""

from pathlib import Path

from deploy.stack_files import StackError
from services.ledger.checkpoint import origin_of
from services.ledger.faults import LedgerError
from services.ledger.log_key import log_key_file, read_log_key


def known_log_host(data: Path, market: str) -> str | None:
    """Return the host that a market's log has signed as from its first run on, None before that. Raises StackError."""
    file = log_key_file(data, market)
    if not file.exists():
        return None
    try:
        return read_log_key(file).name.removesuffix(origin_of("", market))
    except LedgerError as error:
        raise StackError(str(error)) from None
