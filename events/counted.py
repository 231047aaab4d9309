"""Numbers of things as people read them: one notice, but two notices."""


def counted(count: int, one: str, many: str | None = None, *, grouped: bool = False) -> str:
    """Return `1 notice`, `2 notices`: the number with `one` or `many` behind it; `many` is `one` with an s by default.

    What follows and depends on the number goes in both: `counted(n, "entry is", "entries are")`. `grouped` writes
    thousands with commas.
    """
    number = f"{count:,}" if grouped else str(count)
    return f"{number} {one if count == 1 else many or f'{one}s'}"
