"""Damage to files while nobody has them open: flipped bits, missing ends."""

import random
from pathlib import Path
from typing import Final

FLIPS_MAX: Final = 3


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
