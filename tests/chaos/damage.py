"""Damage to files while nobody has them open: flipped bits, missing ends, and what of the broker is damaged so."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

FLIPS_MAX: Final = 3
CUT_MAX_BYTES: Final = 4_000


def flip_bits(file: Path, chance: random.Random, first_byte: int = 0) -> str:
    """Flip some bits at or after `first_byte`; return what was done."""
    content = bytearray(file.read_bytes())
    if len(content) <= first_byte:
        return "it holds nothing to flip"
    places = sorted(chance.randrange(first_byte, len(content)) for _ in range(chance.randint(1, FLIPS_MAX)))
    for place in places:
        content[place] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return f"bits flipped in bytes {places} of {len(content)}"


def truncate(file: Path, chance: random.Random, cut_max_bytes: int | None = None) -> str:
    """Cut off the end of a file, at most `cut_max_bytes` of it; return what was done."""
    size_bytes = file.stat().st_size
    if size_bytes == 0:
        return "it holds nothing to cut"
    cut = chance.randint(1, min(size_bytes, cut_max_bytes or size_bytes))
    with file.open("rb+") as opened:
        opened.truncate(size_bytes - cut)
    return f"the last {cut} of {size_bytes} bytes cut off"


class Damage(NamedTuple):
    """What happens to the files of one stream, or of all. `forgets` also deletes the index that the broker keeps."""

    name: str
    stream: str
    how: Callable[[Path, random.Random], str]
    forgets: bool = False


def _last_block(stream: Path, chance: random.Random, how: Callable[..., str], *more: int) -> str:
    return how(max((stream / "msgs").glob("*.blk")), chance, *more)


def _tail(stream: Path, chance: random.Random) -> str:
    return _last_block(stream, chance, truncate, CUT_MAX_BYTES)


def _bits(stream: Path, chance: random.Random) -> str:
    return _last_block(stream, chance, flip_bits)


def _gone(stream: Path, chance: random.Random) -> str:
    del chance
    shutil.rmtree(stream)
    return "deleted"


DAMAGES: Final = (
    Damage("journal cut", "journal", _tail),
    Damage("intake cut", "intake", _tail),
    Damage("journal bits", "journal", _bits, forgets=True),
    Damage("store gone", "", _gone),
    Damage("intake bits", "intake", _bits, forgets=True),
    Damage("journal cut and index gone", "journal", _tail, forgets=True),
    Damage("journal bits under an index", "journal", _bits),
    Damage("intake bits under an index", "intake", _bits),
    Damage("results cut", "results", _tail),
    Damage("results bits", "results", _bits, forgets=True),
    Damage("outcomes cut", "outcomes", _tail),
    Damage("outcomes bits", "outcomes", _bits, forgets=True),
    Damage("journal gone", "journal", _gone),
    Damage("intake gone", "intake", _gone),
)
TAILS: Final = ("journal cut", "intake cut")
"""Of these the sentence must name the first and the last message that is missing."""
