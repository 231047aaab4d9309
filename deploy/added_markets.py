"""Which markets a data directory has beside its first: a file each, `DATA/config/markets/MARKET.json`.

Whoever adds or removes a market writes or deletes its file; a running stack looks, and so does the next one.
"""

from pathlib import Path
from typing import Final

import msgspec

from deploy.stack_files import DIRECTORY_MODE, StackError, config_directory, write_private
from events.ids import is_name
from events.undecodable import UNDECODABLE

ADDED_MAX: Final = 30
"""Each takes four processes, eight in a cluster."""


class AddedMarket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told of an added market: the port of its gateway, which publishers keep."""

    http_port: int


def added_markets(data: Path) -> dict[str, AddedMarket]:
    """Return the added markets of a data directory, by name. Raises StackError when a file cannot be used."""
    return {path.stem: _read(path) for path in sorted(_folder(data).glob("[!.]*.json"))}


def note_added(data: Path, market: str, added: AddedMarket) -> None:
    """Write down that a market is added."""
    _folder(data).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    write_private(_file(data, market), msgspec.json.encode(added))


def forget_added(data: Path, market: str) -> None:
    """Write down that a market is added no more."""
    _file(data, market).unlink(missing_ok=True)


def _folder(data: Path) -> Path:
    return config_directory(data) / "markets"


def _file(data: Path, market: str) -> Path:
    return _folder(data) / f"{market}.json"


def _read(path: Path) -> AddedMarket:
    if not is_name(path.stem):
        raise StackError(f"{path}: expected the name of a market, 1 to 64 of A-Z a-z 0-9 _ -, and .json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=AddedMarket)
    except (OSError, *UNDECODABLE) as error:
        raise StackError(f"{path} is not usable: {error}; delete it, and add the market again") from None
