"""What `sqlite3` raises when it cannot work with a file, in one place."""

import sqlite3
from typing import Final

SQLITE_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""CPython 3.11 decodes SQLite's message strictly, and that of a damaged schema quotes bytes that are no text."""


def told_by_sqlite(error: Exception) -> str:
    """Return what SQLite says of one of these errors."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode(errors="backslashreplace")
    return str(error)
